// The claude processes, and what each is at.
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { number, say } from "./strings.js";

const COLUMNS = ["workers.state", "workers.kind", "workers.key", "workers.model", "workers.jobs", "workers.memory"];

export function workersCard() {
  const place = make("div");
  return {
    element: card("workers.title", place),
    show: ({ workers }) => place.replaceChildren(table(COLUMNS, workers.map(row), "workers.none")),
  };
}

function row({ kind, phase, key_id: key, model, jobs, memory_mib: memory }) {
  return [
    make("span", { class: "state-cell" }, make("i", { class: "worker", "data-phase": phase, "aria-hidden": "true" }), say(make("span"), `phase.${phase}`)),
    say(make("span"), `kind.${kind}`),
    key ? code(key) : say(make("span", { class: "note" }), "workers.nobody"),
    code(model),
    number(jobs),
    say(make("span"), "workers.mib", { memory: number(memory) }),
  ];
}
