// The card of the claude processes and their states.
import { card, code, table } from "./card.js";
import { make } from "./dom.js";
import { formatNumber, setText } from "./strings.js";

const COLUMNS = ["workers.state", "workers.pool", "workers.key", "keys.group", "workers.model", "workers.jobs", "workers.memory"];

export function workersCard() {
  const container = make("div");
  return {
    element: card("workers.title", container),
    show: ({ workers }) => container.replaceChildren(table(COLUMNS, workers.map(toCells), "workers.none")),
  };
}

function toCells({ pool, phase, key_id: key, group, model, completed_jobs: jobs, memory_mib: memory }) {
  return [
    make("span", { class: "state-cell" }, make("i", { class: "worker", "data-phase": phase, "aria-hidden": "true" }), setText(make("span"), `phase.${phase}`)),
    setText(make("span"), `pool.${pool}`),
    key ? code(key) : setText(make("span", { class: "note" }), "workers.no_key"),
    group ? code(group) : "",
    code(model),
    formatNumber(jobs),
    setText(make("span"), "workers.mib", { memory: formatNumber(memory) }),
  ];
}
