// The card of the queues: running and waiting jobs, now and in the last minutes.
import { card } from "./card.js";
import { sparkline } from "./chart.js";
import { make } from "./dom.js";
import { formatNumber, setText } from "./strings.js";

const HISTORY_MS = 180000;
const POOLS = ["chat", "agent"];

export function queueCard() {
  const samples = [];
  const containers = POOLS.map(() => make("div", { class: "queue" }));
  return {
    element: card("queue.title", containers),
    show({ queues }) {
      const now = Date.now();
      samples.push({ now, queues });
      while (samples[0].now < now - HISTORY_MS) samples.shift();
      containers.forEach((container, index) => container.replaceChildren(...describeQueue(POOLS[index], queues, samples)));
    },
  };
}

function describeQueue(pool, queues, samples) {
  const { running, waiting } = queues[pool];
  const points = samples.map((sample) => ({ at: sample.now, value: sample.queues[pool].running + sample.queues[pool].waiting }));
  return [
    setText(make("h4"), `pool.${pool}`),
    make(
      "dl",
      { class: "numbers" },
      make("div", {}, setText(make("dt"), "queue.running"), make("dd", {}, formatNumber(running))),
      make("div", {}, setText(make("dt"), "queue.waiting"), make("dd", {}, formatNumber(waiting))),
    ),
    sparkline(points, HISTORY_MS),
  ];
}
