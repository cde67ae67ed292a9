// A conversation with a model through this gateway, streamed as any caller would have it.
import { ask, mayCall, Problem, problemInStream, problemOf, sayProblem, send } from "./api.js";
import { byId, make } from "./dom.js";
import { eventsOf } from "./events.js";
import { renderer } from "./markdown.js";
import { number, say } from "./strings.js";

const PATH = "/v1/chat/completions";
// Drawing an answer anew takes at most one part in so many of the time, however long the answer is.
const DRAWING_SHARE = 4;

let messages = [];
let running = null;

export function startChat() {
  setModels([document.documentElement.dataset.model]);
  document.addEventListener("account", ({ detail }) => detail && loadModels());
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  byId("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  byId("stop").addEventListener("click", () => running?.abort());
  byId("chat-new").addEventListener("click", begin);
}

function begin() {
  running?.abort();
  messages = [];
  byId("log").replaceChildren(say(make("p", { class: "empty" }), "chat.empty"));
  note("chat.keys");
  byId("question").focus();
}

async function loadModels() {
  try {
    setModels((await ask("/v1/models")).data.map((model) => model.id));
  } catch {
    // The default model is on the list already, and asking it will say what is wrong.
  }
}

function setModels(names) {
  const chosen = byId("model").value || document.documentElement.dataset.model;
  byId("model").replaceChildren(...names.map((name) => make("option", { selected: name === chosen }, name)));
}

async function submit() {
  const question = byId("question").value.trim();
  if (!question || running) return;
  if (!mayCall()) {
    note("key.needed", "bad");
    byId("key").focus();
    return;
  }
  const history = messages;
  const answer = showTurn(question);
  byId("question").value = "";
  working(new AbortController());
  try {
    const said = await stream([...history, { role: "user", content: question }], answer);
    messages = [...history, { role: "user", content: question }, { role: "assistant", content: said }];
  } catch (error) {
    answer.fail(error);
    if (!answer.text()) byId("question").value = question;
  } finally {
    working(null);
  }
}

function working(controller) {
  running = controller;
  byId("send").hidden = controller !== null;
  byId("stop").hidden = controller === null;
  // What is read aloud is the answer when it is whole, not every word of it.
  byId("log").setAttribute("aria-busy", String(controller !== null));
  if (controller) note("chat.waiting");
}

// Plays the answer into its place; what was said, also where the reader stopped it.
async function stream(conversation, answer) {
  const began = performance.now();
  const effort = byId("effort").value;
  const body = {
    model: byId("model").value,
    messages: conversation,
    stream: true,
    stream_options: { include_usage: true },
    ...(effort === "none" ? {} : { reasoning_effort: effort }),
  };
  let first = 0;
  let finish = "";
  try {
    const response = await send(PATH, { method: "POST", body: JSON.stringify(body), signal: running.signal });
    if (!response.ok) throw await problemOf(response);
    for await (const data of eventsOf(response)) {
      if (data === "[DONE]") return answer.end(finish);
      const { choices = [], usage, error } = JSON.parse(data);
      if (error) throw problemInStream(error);
      const { delta = {}, finish_reason: reason } = choices[0] ?? {};
      if (delta.content || delta.reasoning_content) {
        if (!first) note("chat.streaming");
        first ||= performance.now() - began;
        answer.add(delta);
      }
      if (reason) finish = reason;
      if (usage) answer.tell(usage, first);
    }
    throw new Problem("error.broken");
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return answer.end("stopped");
  }
}

// A question in the log, and the place of its answer.
function showTurn(question) {
  const log = byId("log");
  log.querySelector(".empty")?.remove();
  const thoughts = make("div", { class: "thoughts-text", dir: "auto" });
  const details = make("details", { class: "thoughts", hidden: true }, say(make("summary"), "chat.thoughts"), thoughts);
  const words = make("div", { class: "words" });
  const foot = make("p", { class: "note" });
  const bubble = make("article", { class: "turn answer waiting" }, say(make("h3"), "chat.claude"), details, words, foot);
  log.append(
    make("article", { class: "turn question" }, say(make("h3"), "chat.you"), make("p", { dir: "auto", class: "asked" }, question)),
    bubble,
  );
  log.scrollTop = log.scrollHeight;
  const render = renderer(words);
  let text = "";
  let thought = "";
  let frame = 0;
  let due = 0;

  const draw = () => {
    frame = 0;
    const began = performance.now();
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    if (thoughts.textContent.length !== thought.length) thoughts.textContent = thought;
    render(text);
    if (follows) log.scrollTop = log.scrollHeight;
    due = began + DRAWING_SHARE * (performance.now() - began);
  };
  const drawWhenDue = () => (performance.now() < due ? (frame = requestAnimationFrame(drawWhenDue)) : draw());
  const close = () => {
    cancelAnimationFrame(frame);
    draw();
    bubble.classList.remove("waiting");
  };
  return {
    text: () => text,
    add({ content = "", reasoning_content: more = "" }) {
      bubble.classList.remove("waiting");
      if (more) {
        details.hidden = false;
        details.open = true;
        thought += more;
      }
      if (content) {
        if (!text) details.open = false; // thought to its end
        text += content;
      }
      if (more || content) {
        frame ||= requestAnimationFrame(drawWhenDue);
      }
    },
    tell({ prompt_tokens: input, completion_tokens: output }, first) {
      const seconds = number(first / 1000, { maximumFractionDigits: 2 });
      say(foot, "chat.usage", { input: number(input), output: number(output), seconds });
    },
    end(reason) {
      close();
      if (reason === "stopped") say(foot, "chat.stopped");
      if (reason === "length") say(foot, "chat.cut");
      note("chat.keys");
      return text;
    },
    fail(error) {
      close();
      sayProblem(foot, error);
      note("chat.keys");
      log.scrollTop = log.scrollHeight;
    },
  };
}

function note(words, kind = "") {
  byId("chat-note").className = `note ${kind}`;
  say(byId("chat-note"), words);
}
