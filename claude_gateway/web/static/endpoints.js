// Every endpoint, to be opened and tried where it stands.
import { mayCall, sayProblem, send } from "./api.js";
import { coloured } from "./colours.js";
import { byId, make } from "./dom.js";
import { operations } from "./operations.js";
import { has, number, say } from "./strings.js";

const MOST_SHOWN = 200000;

export async function startEndpoints() {
  const groups = new Map();
  for (const operation of await operations(document.documentElement.dataset.model))
    groups.set(operation.group, [...(groups.get(operation.group) ?? []), operation]);
  byId("endpoint-list").replaceChildren(...[...groups].map(([name, members]) => group(name, members)));
}

function group(name, members) {
  const key = `group.${name}`;
  const title = has(key) ? say(make("h3"), key) : make("h3", {}, name);
  return make("section", { class: "group" }, title, make("div", { class: "card rows" }, members.map(row)));
}

function row(operation) {
  const { method, path, summary } = operation;
  const key = `op.${method} ${path}`;
  const about = make("span", { class: "about" });
  if (has(key)) say(about, key);
  else about.textContent = summary ?? "";
  const line = make("summary", {}, make("span", { class: "method", "data-method": method }, method), make("code", { dir: "ltr" }, breakable(path)), about);
  const details = make("details", { class: "operation" }, line);
  // What is inside is made when it is first wanted.
  details.addEventListener("toggle", () => details.open && details.childElementCount === 1 && details.append(trial(operation)));
  return details;
}

// A narrow screen breaks a path at its slashes.
const breakable = (path) => path.split(/(?=[/:])/).flatMap((part) => [part, make("wbr")]);

function trial({ method, path, body, open }) {
  const inputs = [...path.matchAll(/\{(\w+)\}/g)].map(([place, name]) => {
    const value = name === "model" ? document.documentElement.dataset.model : "";
    const input = make("input", { dir: "ltr", required: true, spellcheck: "false", value });
    return { place, input, label: make("label", {}, make("code", { dir: "ltr" }, name), input) };
  });
  const text = body === null ? null : make("textarea", { dir: "ltr", spellcheck: "false", rows: Math.min(14, body.split("\n").length) }, body);
  const button = say(make("button", { class: "strong", type: "submit" }), "endpoints.send");
  const stop = say(make("button", { class: "quiet", type: "button", hidden: true }), "endpoints.stop");
  const note = make("p", { class: "note", role: "status" });
  if (method === "DELETE" || method === "PUT") say(note, "endpoints.changes");
  const answer = make("div", { class: "live", hidden: true });
  const form = make(
    "form",
    { class: "trial" },
    inputs.map(({ label }) => label),
    text && make("label", {}, say(make("span"), "endpoints.body"), text),
    make("div", { class: "trial-row" }, button, stop, note),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    note.className = "note";
    note.replaceChildren();
    if (!open && !mayCall()) return say(note, "key.needed");
    if (text && !isJson(text.value)) return say(note, "endpoints.not_json");
    const address = inputs.reduce((whole, { place, input }) => whole.replace(place, encodeURIComponent(input.value)), path);
    const controller = new AbortController();
    stop.onclick = () => controller.abort();
    button.hidden = !(stop.hidden = false);
    try {
      await show(answer, await timed(() => send(address, { method, body: text?.value, signal: controller.signal })));
    } catch (error) {
      if (error.name !== "AbortError") sayProblem(note, error);
    } finally {
      button.hidden = !(stop.hidden = true);
    }
    return undefined;
  });
  return form;
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
