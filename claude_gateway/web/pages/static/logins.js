// The card of the logins with which the gateway reaches the upstream, and of their limits.
import { card, code, table } from "./card.js";
import { shareBar } from "./chart.js";
import { make } from "./dom.js";
import { formatNumber, formatTime, hasString, language, setText } from "./strings.js";

const COLUMNS = ["logins.name", "logins.method", "logins.state", "logins.window", "logins.used", "logins.resets"];

export function loginsCard() {
  const container = make("div");
  let shown = "";
  return {
    element: card("logins.title", container),
    show({ logins }) {
      // A table that has not changed stays, and with it the focus and the scroll position.
      const current = JSON.stringify([language(), logins]);
      if (current === shown) return;
      shown = current;
      container.replaceChildren(table(COLUMNS, logins.flatMap(toRows), "logins.none"));
    },
  };
}

// Return a row for each window of a login. Each row names the login, so that a screen reader can read it alone.
function toRows(login) {
  const windows = login.limits.length ? login.limits.map(describeWindow) : [[setText(make("span", { class: "note" }), "logins.no_limits"), "–", "–"]];
  return windows.map((cells) => [code(login.name), setText(make("span"), `method.${login.method}`), describeState(login), ...cells]);
}

function describeState({ valid, limited, limited_until: until }) {
  if (!valid) return setText(make("span", { class: "bad" }), "logins.rejected");
  if (!limited) return setText(make("span"), "logins.available");
  if (until === null) return setText(make("span", { class: "bad" }), "logins.limited");
  return setText(make("time", { class: "bad", datetime: toIso(until) }), "logins.limited_until", { time: formatMoment(until) });
}

function describeWindow({ window, status, used_share: share, resets_at: resetsAt }) {
  const windowKey = hasString(`limit_window.${window}`) ? `limit_window.${window}` : "limit_window.other";
  const used = make(
    "span",
    { class: "share", "data-status": status },
    share !== null && shareBar(share),
    make("span", {}, share === null ? "–" : formatNumber(share, { style: "percent" })),
    status !== "allowed" && setText(make("span", { class: status === "rejected" ? "bad" : "note" }), `limit_status.${status}`),
  );
  const resets = resetsAt === null ? "–" : make("time", { datetime: toIso(resetsAt) }, formatMoment(resetsAt));
  return [setText(make("span"), windowKey), used, resets];
}

// Times are in the time zone of the reader.
const formatMoment = (seconds) => formatTime(new Date(seconds * 1000), { dateStyle: "medium", timeStyle: "short" });
const toIso = (seconds) => new Date(seconds * 1000).toISOString();
