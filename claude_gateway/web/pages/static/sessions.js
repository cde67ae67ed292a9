// The card of the stored sessions by API key.
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { formatNumber, formatTime, setText } from "./strings.js";

const COLUMNS = ["sessions.key", "sessions.sessions", "sessions.messages", "sessions.size", "sessions.last_used"];

export function sessionsCard() {
  const container = make("div");
  return {
    element: card("sessions.title", container),
    show: ({ sessions }) => container.replaceChildren(table(COLUMNS, sessions.map(toCells), "sessions.none")),
  };
}

const toCells = ({ key_id: key, sessions, messages, size_bytes: bytes, last_accessed: lastUsed }) => [
  code(key),
  formatNumber(sessions),
  formatNumber(messages),
  setText(make("span"), "sessions.kib", { size: formatNumber(Math.ceil(bytes / 1024)) }),
  formatTime(new Date(lastUsed * 1000), { dateStyle: "short", timeStyle: "short" }),
];
