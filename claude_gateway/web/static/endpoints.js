// Every endpoint, to be opened and tried where it stands.
import { mayCall, Problem, sayProblem, send } from "./api.js";
import { coloured } from "./colours.js";
import { byId, make } from "./dom.js";
import { operations } from "./operations.js";
import { has, number, say } from "./strings.js";

const MOST_SHOWN = 200000;

export async function startEndpoints() {
  const list = byId("endpoint-list");
  list.replaceChildren(say(make("p", { class: "note" }), "endpoints.loading"));
  const found = await operations(document.documentElement.dataset.model).catch(() => null);
  if (!found) return list.replaceChildren(sayProblem(make("p", { class: "note" }), new Problem("error.network")));
  const groups = new Map();
  for (const operation of found)
    groups.set(operation.group, [...(groups.get(operation.group) ?? []), operation]);
  return list.replaceChildren(...[...groups].map(([name, members]) => group(name, members)));
}

function group(name, members) {
  const key = `group.${name}`;
  const title = has(key) ? say(make("h3"), key) : make("h3", {}, name);
  return make("section", { class: "group" }, title, make("div", { class: "card rows" }, members.map(row)));
}

function row(operation) {
  const { method, path, summary } = operation;
  const key = `op.${method} ${path}`;
  const about = has(key) ? say(make("span", { class: "about" }), key) : make("span", { class: "about", lang: "en", dir: "auto" }, summary);
  const line = make("summary", {}, make("span", { class: "method", "data-method": method }, method), make("code", { dir: "ltr" }, breakable(path)), about);
  const details = make("details", { class: "operation" }, line);
  // What is inside is made when it is first wanted.
  details.addEventListener("toggle", () => details.open && details.childElementCount === 1 && details.append(trial(operation)));
  return details;
}

// A narrow screen breaks a path at its slashes.
const breakable = (path) => path.split(/(?=[/:])/).flatMap((part) => [part, make("wbr")]);

function trial({ method, path, inPath, inQuery, type, bodies, open }) {
  const fields = inPath.map(({ name, example }) => field(name, { required: true, value: example ?? "" }));
  const queries = inQuery.map((name) => field(name, {}));
  const body = bodies.length ? sent(bodies) : null;
  const button = say(make("button", { class: "strong", type: "submit" }), "endpoints.send");
  const stop = say(make("button", { class: "quiet", type: "button", hidden: true }), "endpoints.stop");
  const note = make("p", { class: "note", role: "status" });
  if (method === "DELETE" || method === "PUT") say(note, "endpoints.changes");
  const answer = make("div", { class: "live", hidden: true });
  const form = make(
    "form",
    { class: "trial" },
    make("div", { class: "places" }, [...fields, ...queries].map(({ label }) => label)),
    body?.element,
    make("div", { class: "trial-row" }, button, stop, note),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    note.className = "note";
    note.replaceChildren();
    if (!open && !mayCall()) return say(note, "key.needed");
    if (type === "application/json" && !isJson(body.text())) return say(note, "endpoints.not_json");
    const controller = new AbortController();
    stop.onclick = () => controller.abort();
    button.hidden = !(stop.hidden = false);
    try {
      const request = { method, body: body?.text(), type, signal: controller.signal };
      await show(answer, await timed(() => send(address(path, fields, queries), request)));
    } catch (error) {
      if (error.name !== "AbortError") sayProblem(note, error);
    } finally {
      button.hidden = !(stop.hidden = true);
    }
    return undefined;
  });
  return form;
}

function field(name, properties) {
  const input = make("input", { dir: "ltr", spellcheck: "false", ...properties });
  return { name, input, label: make("label", {}, make("code", { dir: "ltr" }, name), input) };
}

// What is sent, to begin with one of the examples.
function sent(bodies) {
  const text = make("textarea", { dir: "ltr", spellcheck: "false" });
  const choose = (index) => {
    text.value = bodies[index][1];
    text.rows = Math.min(16, Math.max(3, text.value.split("\n").length));
  };
  choose(0);
  const select = make("select", { dir: "ltr", onchange: () => choose(select.selectedIndex) }, bodies.map(([name]) => make("option", {}, name)));
  const examples = bodies.length > 1 && make("label", { class: "example" }, say(make("span"), "endpoints.example"), select);
  return { text: () => text.value, element: make("div", { class: "sent" }, examples, make("label", {}, say(make("span"), "endpoints.body"), text)) };
}

// A name may hold slashes, which part it as they part the path.
function address(path, fields, queries) {
  const encoded = (value) => value.split("/").map(encodeURIComponent).join("/");
  const filled = fields.reduce((whole, { name, input }) => whole.replace(`{${name}}`, encoded(input.value)), path);
  const query = new URLSearchParams(queries.filter(({ input }) => input.value).map(({ name, input }) => [name, input.value]));
  return query.size ? `${filled}?${query}` : filled;
}

async function timed(request) {
  const began = performance.now();
  const response = await request();
  return { response, milliseconds: Math.round(performance.now() - began) };
}

// The answer as it comes; JSON is laid out when all of it is there.
async function show(place, { response, milliseconds }) {
  const status = make("span", { class: "code", "data-kind": response.ok ? "good" : "bad", dir: "ltr" }, `${response.status} ${response.statusText}`.trim());
  const took = say(make("span"), "endpoints.took", { milliseconds: number(milliseconds) });
  const id = make("span", { class: "request-id", dir: "ltr" }, response.headers.get("x-request-id") ?? "");
  const code = make("code");
  const title = say(make("h4"), "endpoints.answer");
  place.replaceChildren(make("p", { class: "live-head" }, title, status, took, id), make("pre", { dir: "ltr", tabindex: "0" }, code));
  place.hidden = false;
  const kind = response.headers.get("Content-Type") ?? "";
  let text = "";
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await reader?.read(); part && !part.done && text.length < MOST_SHOWN; part = await reader.read()) {
      text += part.value;
      if (kind.startsWith("text/event-stream")) code.append(part.value);
    }
  } finally {
    reader?.cancel().catch(() => {});
  }
  if (text === "") say(code, "endpoints.empty");
  else if (kind.startsWith("application/json")) code.replaceChildren(...coloured(laidOut(text), "json"));
  else code.textContent = text.slice(0, MOST_SHOWN);
}

function laidOut(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
