// Which keys have sessions that are remembered.
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { number, say, time } from "./strings.js";

const COLUMNS = ["keepers.key", "keepers.sessions", "keepers.messages", "keepers.size", "keepers.used"];

export function keepersCard() {
  const place = make("div");
  return {
    element: card("keepers.title", place),
    show: ({ sessions }) => place.replaceChildren(table(COLUMNS, sessions.map(row), "keepers.none")),
  };
}

const row = ({ key_id: key, sessions, messages, bytes, last_accessed: used }) => [
  code(key),
  number(sessions),
  number(messages),
  say(make("span"), "keepers.kib", { size: number(Math.ceil(bytes / 1024)) }),
  time(new Date(used * 1000), { dateStyle: "short", timeStyle: "short" }),
];
