// Is the gateway well? One small question every few seconds, and none while nobody looks.
import { ask } from "./api.js";
import { byId, make } from "./dom.js";
import { number, say, time } from "./strings.js";

// Well below the 30 a minute that an address has, even with several tabs open.
const EVERY_MS = 10000;
const PHASES = ["busy", "ready", "recovering", "booting"];

let timer = 0;
let seen = null;
let loginMethod = "";

export function startStatus() {
  look();
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
  document.addEventListener("languagechange", () => seen && show(seen));
  document.addEventListener("account", ({ detail }) => {
    loginMethod = detail ? detail.claude_code_auth.method : "";
    if (seen) show(seen);
    showVersion(detail !== null);
  });
}

async function look() {
  clearTimeout(timer);
  let wait = EVERY_MS;
  try {
    // 503 is an answer here: it says what is missing.
    const response = await fetch("/health/ready", { cache: "no-store" });
    if (response.status === 429) {
      const seconds = Number(response.headers.get("Retry-After")) || 60;
      wait = seconds * 1000;
      say(byId("status-time"), "status.limited", { seconds });
    } else {
      seen = { ...(await response.json()), at: new Date() };
      show(seen);
    }
  } catch {
    seen = null;
    for (const part of ["login", "pool", "store"]) set(part, "unknown", "status.unknown");
    set("server", "bad", "status.unreachable");
  }
  if (!document.hidden) timer = setTimeout(look, wait);
}

// Told to callers with a key alone, and to all where none is needed.
async function showVersion(known) {
  const versions = known ? await ask("/version").catch(() => null) : null;
  byId("version").textContent = versions?.version ? `${versions.version} · Claude Code ${versions.cli_version}` : "";
}

function show({ checks, at }) {
  set("server", "good", "status.healthy");
  set("login", checks.login ? "good" : "bad", checks.login ? "status.logged_in" : "status.logged_out");
  if (loginMethod) more("login", say(make("span"), `method.${loginMethod}`));
  set("pool", checks.pool.serving ? "good" : "bad", checks.pool.serving ? "status.serving" : "status.stuck");
  more("pool", workers(checks.pool.workers), queue(checks.pool.queue));
  set("store", checks.store ? "good" : "bad", checks.store ? "status.usable" : "status.unusable");
  const clock = make("time", { datetime: at.toISOString() });
  byId("status-time").replaceChildren(say(clock, "status.updated", { time: time(at) }));
}

function set(part, kind, words) {
  const row = byId("status").querySelector(`[data-part="${part}"]`);
  row.dataset.kind = kind;
  say(row.querySelector(".state"), words);
  row.querySelector(".more").replaceChildren();
}

function more(part, ...children) {
  byId("status").querySelector(`[data-part="${part}"] .more`).replaceChildren(...children);
}

// One square for each process, and the same in words.
export function workers(counts) {
  const phases = PHASES.filter((phase) => counts[phase]);
  const squares = phases.flatMap((phase) =>
    Array.from({ length: counts[phase] }, () => make("i", { class: "worker", "data-phase": phase })),
  );
  const words = phases.map((phase) => make("span", { class: "phase" }, `${number(counts[phase])} `, say(make("span"), `phase.${phase}`)));
  return make("span", { class: "workers" }, make("span", { class: "squares", "aria-hidden": "true" }, squares), words);
}

const queue = ({ running, waiting }) =>
  say(make("span"), "status.queue", { running: number(running), waiting: number(waiting) });
