// The card of the MCP servers of this key, to connect and disconnect them.
import { fetchJson, problemFromResponse, send, showProblem } from "./api.js";
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { formatNumber, setText } from "./strings.js";

const COLUMNS = ["servers.name", "servers.address", "servers.status", "servers.tools", "servers.action"];

export function serversCard() {
  const list = make("div");
  const note = make("p", { class: "note", role: "status" });
  let servers = [];

  async function refresh() {
    try {
      servers = (await fetchJson("/v1/mcp/servers")).servers;
      draw();
    } catch (error) {
      showProblem(note, error);
    }
  }

  const draw = () => list.replaceChildren(table(COLUMNS, servers.map(toCells), "servers.none"));

  function toCells(server) {
    const action = server.status === "disconnected" ? "connect" : "disconnect";
    return [
      code(server.name),
      code(server.type === "stdio" ? [server.command, ...server.args].join(" ") : server.url),
      make("span", { title: server.error ?? "" }, setText(make("span"), `server_status.${server.status}`)),
      formatNumber(server.tools),
      setText(make("button", { class: "small quiet", type: "button", onclick: () => runAction(action, server) }), `servers.${action}`),
    ];
  }

  async function runAction(action, { name }) {
    note.replaceChildren();
    note.className = "note";
    try {
      const response = await send(`/v1/mcp/${action}`, { method: "POST", body: JSON.stringify({ server_name: name }) });
      if (!response.ok) throw await problemFromResponse(response);
    } catch (error) {
      showProblem(note, error);
    }
    refresh();
  }

  refresh();
  return { element: card("servers.title", list, note), show() {}, onLanguageChange: draw };
}
