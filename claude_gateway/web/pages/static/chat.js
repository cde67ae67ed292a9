// The chat with a model through this gateway, streamed as for any other client.
import { Problem, canCall, fetchJson, problemFromEvent, problemFromResponse, send, showProblem } from "./api.js";
import { byId, make } from "./dom.js";
import { readEvents } from "./events.js";
import { renderer } from "./markdown.js";
import { formatNumber, setText } from "./strings.js";

const PATH = "/v1/chat/completions";
// Rendering takes at most a quarter of the time, however long the reply is.
const MIN_INTERVAL_PER_RENDER_TIME = 4;

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
  byId("chat-new").addEventListener("click", startNewChat);
}

function startNewChat() {
  running?.abort();
  messages = [];
  byId("log").replaceChildren(setText(make("p", { class: "empty" }), "chat.empty"));
  note("chat.keys");
  byId("question").focus();
}

async function loadModels() {
  try {
    setModels((await fetchJson("/v1/models")).data.map((model) => model.id));
  } catch {
    // The list already has the default model; a request to it will show the error.
  }
}

function setModels(names) {
  const selected = byId("model").value || document.documentElement.dataset.model;
  byId("model").replaceChildren(...names.map((name) => make("option", { selected: name === selected }, name)));
}

async function submit() {
  const question = byId("question").value.trim();
  if (!question || running) return;
  if (!canCall()) {
    note("key.required", "bad");
    byId("key").focus();
    return;
  }
  const history = messages;
  const reply = showTurn(question);
  byId("question").value = "";
  setRunning(new AbortController());
  try {
    const replyText = await stream([...history, { role: "user", content: question }], reply);
    messages = [...history, { role: "user", content: question }, { role: "assistant", content: replyText }];
  } catch (error) {
    reply.fail(error);
    if (!reply.text()) byId("question").value = question;
  } finally {
    setRunning(null);
  }
}

function setRunning(controller) {
  running = controller;
  byId("send").hidden = controller !== null;
  byId("stop").hidden = controller === null;
  // Screen readers announce the complete reply, not each word of it.
  byId("log").setAttribute("aria-busy", String(controller !== null));
  if (controller) note("chat.waiting");
}

// Stream the reply into the log and return its text, also if the reader stopped it.
async function stream(conversation, reply) {
  const startedAt = performance.now();
  const effort = byId("effort").value;
  const body = {
    model: byId("model").value,
    messages: conversation,
    stream: true,
    stream_options: { include_usage: true },
    ...(effort === "none" ? {} : { reasoning_effort: effort }),
  };
  let firstWordMs = 0;
  let finishReason = "";
  try {
    const response = await send(PATH, { method: "POST", body: JSON.stringify(body), signal: running.signal });
    if (!response.ok) throw await problemFromResponse(response);
    for await (const data of readEvents(response)) {
      if (data === "[DONE]") return reply.end(finishReason);
      const { choices = [], usage, error } = JSON.parse(data);
      if (error) throw problemFromEvent(error);
      const { delta = {}, finish_reason: reason } = choices[0] ?? {};
      if (delta.content || delta.reasoning_content) {
        if (!firstWordMs) note("chat.streaming");
        firstWordMs ||= performance.now() - startedAt;
        reply.add(delta);
      }
      if (reason) finishReason = reason;
      if (usage) reply.showUsage(usage, firstWordMs);
    }
    throw new Problem("error.interrupted");
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return reply.end("stopped");
  }
}

// Add the question and an empty reply to the log. Returns functions that update the reply.
function showTurn(question) {
  const log = byId("log");
  log.querySelector(".empty")?.remove();
  const thinkingText = make("div", { class: "thinking-text", dir: "auto" });
  const details = make("details", { class: "thinking", hidden: true }, setText(make("summary"), "chat.thinking_block"), thinkingText);
  const replyText = make("div", { class: "reply-text" });
  const foot = make("p", { class: "note" });
  const bubble = make("article", { class: "turn reply waiting" }, setText(make("h3"), "chat.claude"), details, replyText, foot);
  log.append(
    make("article", { class: "turn question" }, setText(make("h3"), "chat.you"), make("p", { dir: "auto", class: "question-text" }, question)),
    bubble,
  );
  log.scrollTop = log.scrollHeight;
  const render = renderer(replyText);
  let text = "";
  let thinking = "";
  let frame = 0;
  let nextRenderAt = 0;

  const draw = () => {
    frame = 0;
    const startedAt = performance.now();
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    if (thinkingText.textContent.length !== thinking.length) thinkingText.textContent = thinking;
    render(text);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
    nextRenderAt = startedAt + MIN_INTERVAL_PER_RENDER_TIME * (performance.now() - startedAt);
  };
  const drawWhenDue = () => (performance.now() < nextRenderAt ? (frame = requestAnimationFrame(drawWhenDue)) : draw());
  const close = () => {
    cancelAnimationFrame(frame);
    draw();
    bubble.classList.remove("waiting");
  };
  return {
    text: () => text,
    add({ content = "", reasoning_content: newThinking = "" }) {
      bubble.classList.remove("waiting");
      if (newThinking) {
        details.hidden = false;
        details.open = true;
        thinking += newThinking;
      }
      if (content) {
        if (!text) details.open = false; // the thinking is complete
        text += content;
      }
      if (newThinking || content) {
        frame ||= requestAnimationFrame(drawWhenDue);
      }
    },
    showUsage({ prompt_tokens: input, completion_tokens: output }, firstWordMs) {
      const seconds = formatNumber(firstWordMs / 1000, { maximumFractionDigits: 2 });
      setText(foot, "chat.usage", { input: formatNumber(input), output: formatNumber(output), seconds });
    },
    end(reason) {
      close();
      if (reason === "stopped") setText(foot, "chat.stopped");
      if (reason === "length") setText(foot, "chat.truncated");
      note("chat.keys");
      return text;
    },
    fail(error) {
      close();
      showProblem(foot, error);
      note("chat.keys");
      log.scrollTop = log.scrollHeight;
    },
  };
}

function note(textKey, kind = "") {
  byId("chat-note").className = `note ${kind}`;
  setText(byId("chat-note"), textKey);
}
