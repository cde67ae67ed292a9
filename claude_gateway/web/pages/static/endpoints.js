// The list of all endpoints, each with a form to send a request.
import { Problem, canCall, send, showProblem } from "./api.js";
import { byId, make } from "./dom.js";
import { highlight } from "./highlight.js";
import { loadOperations } from "./operations.js";
import { formatNumber, hasString, setText } from "./strings.js";

const MAX_SHOWN_CHARS = 200000;

export async function startEndpoints() {
  const list = byId("endpoint-list");
  list.replaceChildren(setText(make("p", { class: "note" }), "endpoints.loading"));
  const loaded = await loadOperations(document.documentElement.dataset.model).catch(() => null);
  if (!loaded) return list.replaceChildren(showProblem(make("p", { class: "note" }), new Problem("error.network")));
  const groups = new Map();
  for (const operation of loaded)
    groups.set(operation.group, [...(groups.get(operation.group) ?? []), operation]);
  return list.replaceChildren(...[...groups].map(([name, members]) => createGroup(name, members)));
}

function createGroup(name, members) {
  const key = `group.${name}`;
  const title = hasString(key) ? setText(make("h3"), key) : make("h3", {}, name);
  return make("section", { class: "group" }, title, make("div", { class: "card rows" }, members.map(createRow)));
}

function createRow(operation) {
  const { method, path, summary } = operation;
  const key = `op.${method} ${path}`;
  const description = hasString(key) ? setText(make("span", { class: "about" }), key) : make("span", { class: "about", lang: "en", dir: "auto" }, summary);
  const line = make("summary", {}, make("span", { class: "method", "data-method": method }, method), make("code", { dir: "ltr" }, withLineBreaks(path)), description);
  const details = make("details", { class: "operation" }, line);
  // The script creates the form when the reader opens the endpoint for the first time.
  details.addEventListener("toggle", () => details.open && details.childElementCount === 1 && details.append(createForm(operation)));
  return details;
}

// Allow line breaks at the slashes of a path, for narrow screens.
const withLineBreaks = (path) => path.split(/(?=[/:])/).flatMap((part) => [part, make("wbr")]);

function createForm({ method, path, pathParameters, queryParameters, type, bodies, isPublic }) {
  const fields = pathParameters.map(({ name, example }) => field(name, { required: true, value: example ?? "" }));
  const queries = queryParameters.map((name) => field(name, {}));
  const body = bodies.length ? createBodyField(bodies) : null;
  const button = setText(make("button", { class: "strong", type: "submit" }), "endpoints.send");
  const stop = setText(make("button", { class: "quiet", type: "button", hidden: true }), "endpoints.stop");
  const note = make("p", { class: "note", role: "status" });
  if (method === "DELETE" || method === "PUT") setText(note, "endpoints.changes_data");
  const output = make("div", { class: "live", hidden: true });
  const form = make(
    "form",
    { class: "trial" },
    make("div", { class: "parameters" }, [...fields, ...queries].map(({ label }) => label)),
    body?.element,
    make("div", { class: "trial-row" }, button, stop, note),
    output,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    note.className = "note";
    note.replaceChildren();
    if (!isPublic && !canCall()) return setText(note, "key.required");
    if (type === "application/json" && !isJson(body.text())) return setText(note, "endpoints.not_json");
    const controller = new AbortController();
    stop.onclick = () => controller.abort();
    button.hidden = !(stop.hidden = false);
    try {
      const request = { method, body: body?.text(), type, signal: controller.signal };
      await show(output, await measure(() => send(buildAddress(path, fields, queries), request)));
    } catch (error) {
      if (error.name !== "AbortError") showProblem(note, error);
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

// Return a text area for the request body, filled with an example.
function createBodyField(bodies) {
  const text = make("textarea", { dir: "ltr", spellcheck: "false" });
  const selectExample = (index) => {
    text.value = bodies[index][1];
    text.rows = Math.min(16, Math.max(3, text.value.split("\n").length));
  };
  selectExample(0);
  const select = make("select", { dir: "ltr", onchange: () => selectExample(select.selectedIndex) }, bodies.map(([name]) => make("option", {}, name)));
  const examples = bodies.length > 1 && make("label", { class: "example" }, setText(make("span"), "endpoints.example"), select);
  return { text: () => text.value, element: make("div", { class: "request-body" }, examples, make("label", {}, setText(make("span"), "endpoints.body"), text)) };
}

// Return the path with its parameters and query. Slashes in a parameter stay slashes.
function buildAddress(path, fields, queries) {
  const encoded = (value) => value.split("/").map(encodeURIComponent).join("/");
  const filled = fields.reduce((address, { name, input }) => address.replace(`{${name}}`, encoded(input.value)), path);
  const query = new URLSearchParams(queries.filter(({ input }) => input.value).map(({ name, input }) => [name, input.value]));
  return query.size ? `${filled}?${query}` : filled;
}

async function measure(request) {
  const startedAt = performance.now();
  const response = await request();
  return { response, milliseconds: Math.round(performance.now() - startedAt) };
}

// Show the response. Events appear as they arrive; JSON is formatted when it is complete.
async function show(output, { response, milliseconds }) {
  const status = make("span", { class: "code", "data-kind": response.ok ? "good" : "bad", dir: "ltr" }, `${response.status} ${response.statusText}`.trim());
  const duration = setText(make("span"), "endpoints.duration", { milliseconds: formatNumber(milliseconds) });
  const id = make("span", { class: "request-id", dir: "ltr" }, response.headers.get("x-request-id") ?? "");
  const code = make("code");
  const title = setText(make("h4"), "endpoints.response");
  output.replaceChildren(make("p", { class: "live-head" }, title, status, duration, id), make("pre", { dir: "ltr", tabindex: "0" }, code));
  output.hidden = false;
  const contentType = response.headers.get("Content-Type") ?? "";
  let text = "";
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await reader?.read(); part && !part.done && text.length < MAX_SHOWN_CHARS; part = await reader.read()) {
      text += part.value;
      if (contentType.startsWith("text/event-stream")) code.append(part.value);
    }
  } finally {
    reader?.cancel().catch(() => {});
  }
  if (text === "") setText(code, "endpoints.empty_response");
  else if (contentType.startsWith("application/json")) code.replaceChildren(...highlight(formatJson(text), "json"));
  else code.textContent = text.slice(0, MAX_SHOWN_CHARS);
}

function formatJson(text) {
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
