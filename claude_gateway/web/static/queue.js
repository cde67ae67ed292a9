// Who is answered and who waits, now and in the last minutes.
import { card } from "./card.js";
import { sparkline } from "./chart.js";
import { make } from "./dom.js";
import { number, say } from "./strings.js";

const KEPT_MS = 180000;
const KINDS = ["chat", "agent"];

export function queueCard() {
  const past = [];
  const places = KINDS.map(() => make("div", { class: "queue" }));
  return {
    element: card("queue.title", places),
    show({ queues }) {
      const now = Date.now();
      past.push({ now, queues });
      while (past[0].now < now - KEPT_MS) past.shift();
      places.forEach((place, index) => place.replaceChildren(...one(KINDS[index], queues, past)));
    },
  };
}

function one(kind, queues, past) {
  const { running, waiting } = queues[kind];
  const points = past.map((sample) => ({ at: sample.now, value: sample.queues[kind].running + sample.queues[kind].waiting }));
  return [
    say(make("h4"), `kind.${kind}`),
    make(
      "dl",
      { class: "numbers" },
      make("div", {}, say(make("dt"), "queue.running"), make("dd", {}, number(running))),
      make("div", {}, say(make("dt"), "queue.waiting"), make("dd", {}, number(waiting))),
    ),
    sparkline(points, KEPT_MS),
  ];
}
