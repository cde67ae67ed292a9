// The status card. Polls the readiness every few seconds while the page is visible.
import { fetchJson } from "./api.js";
import { byId, make } from "./dom.js";
import { formatNumber, formatTime, setText } from "./strings.js";

// At this interval, several open tabs stay below the limit of 30 requests per minute and address.
const POLL_INTERVAL_MS = 10000;
const PHASES = ["busy", "ready", "recovering", "starting"];

let timer = 0;
let lastReport = null;
let loginMethod = "";

export function startStatus() {
  poll();
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));
  document.addEventListener("languagechange", () => lastReport && show(lastReport));
  document.addEventListener("account", ({ detail }) => {
    loginMethod = detail ? detail.claude_code_auth.method : "";
    if (lastReport) show(lastReport);
    showVersion(detail !== null);
  });
}

async function poll() {
  clearTimeout(timer);
  let wait = POLL_INTERVAL_MS;
  try {
    // A 503 is a valid report that says what is not ready.
    const response = await fetch("/health/ready", { cache: "no-store" });
    if (response.status === 429) {
      const seconds = Number(response.headers.get("Retry-After")) || 60;
      wait = seconds * 1000;
      setText(byId("status-time"), "status.rate_limited", { seconds });
    } else {
      lastReport = { ...(await response.json()), at: new Date() };
      show(lastReport);
    }
  } catch {
    lastReport = null;
    for (const part of ["login", "pool", "database"]) set(part, "unknown", "status.unknown");
    set("server", "bad", "status.unreachable");
  }
  if (!document.hidden) timer = setTimeout(poll, wait);
}

// The gateway sends its versions only to clients with a key, or to all if no key is required.
async function showVersion(isAuthenticated) {
  const versions = isAuthenticated ? await fetchJson("/version").catch(() => null) : null;
  byId("version").textContent = versions?.version ? `${versions.version} · Claude Code ${versions.cli_version}` : "";
}

function show({ checks, at }) {
  set("server", "good", "status.healthy");
  set("login", checks.login ? "good" : "bad", checks.login ? "status.logged_in" : "status.logged_out");
  if (loginMethod) more("login", setText(make("span"), `method.${loginMethod}`));
  set("pool", checks.pool.serving ? "good" : "bad", checks.pool.serving ? "status.serving" : "status.no_worker");
  more("pool", workers(checks.pool.workers), queue(checks.pool.queue));
  set("database", checks.database ? "good" : "bad", checks.database ? "status.available" : "status.unavailable");
  const clock = make("time", { datetime: at.toISOString() });
  byId("status-time").replaceChildren(setText(clock, "status.updated", { time: formatTime(at) }));
}

function set(part, kind, textKey) {
  const row = byId("status").querySelector(`[data-part="${part}"]`);
  row.dataset.kind = kind;
  setText(row.querySelector(".state"), textKey);
  row.querySelector(".more").replaceChildren();
}

function more(part, ...children) {
  byId("status").querySelector(`[data-part="${part}"] .more`).replaceChildren(...children);
}

// Return a square for each process, and the counts by state as text.
export function workers(counts) {
  const phases = PHASES.filter((phase) => counts[phase]);
  const squares = phases.flatMap((phase) =>
    Array.from({ length: counts[phase] }, () => make("i", { class: "worker", "data-phase": phase })),
  );
  const counters = phases.map((phase) => make("span", { class: "phase" }, `${formatNumber(counts[phase])} `, setText(make("span"), `phase.${phase}`)));
  return make("span", { class: "workers" }, make("span", { class: "squares", "aria-hidden": "true" }, squares), counters);
}

const queue = ({ running, waiting }) =>
  setText(make("span"), "status.queue", { running: formatNumber(running), waiting: formatNumber(waiting) });
