// The MCP servers of this key: connected, disconnected, removed.
import { ask, problemOf, sayProblem, send } from "./api.js";
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { number, say } from "./strings.js";

const COLUMNS = ["servers.name", "servers.reach", "servers.status", "servers.tools", "servers.change"];

export function serversCard() {
  const list = make("div");
  const note = make("p", { class: "note", role: "status" });
  let seen = [];

  async function look() {
    try {
      seen = (await ask("/v1/mcp/servers")).servers;
      draw();
    } catch (error) {
      sayProblem(note, error);
    }
  }

  const draw = () => list.replaceChildren(table(COLUMNS, seen.map(row), "servers.none"));

  function row(server) {
    const change = server.status === "disconnected" ? "connect" : "disconnect";
    return [
      code(server.name),
      code(server.type === "stdio" ? [server.command, ...server.args].join(" ") : server.url),
      make("span", { title: server.error ?? "" }, say(make("span"), `server_status.${server.status}`)),
      number(server.tools),
      say(make("button", { class: "small quiet", type: "button", onclick: () => act(change, server) }), `servers.${change}`),
    ];
  }

  async function act(change, { name }) {
    note.replaceChildren();
    note.className = "note";
    try {
      const response = await send(`/v1/mcp/${change}`, { method: "POST", body: JSON.stringify({ server_name: name }) });
      if (!response.ok) throw await problemOf(response);
    } catch (error) {
      sayProblem(note, error);
    }
    look();
  }

  look();
  return { element: card("servers.title", list, note), show() {}, translate: draw };
}
