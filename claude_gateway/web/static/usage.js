// What was used in the last thirty days, of all keys: bars by day, and a table by key and model.
import { ask, sayProblem } from "./api.js";
import { card, code, table } from "./card.js";
import { bars } from "./chart.js";
import { make } from "./dom.js";
import { number, say, time, words } from "./strings.js";

// Asked again no more often than this, and only when an answer ended meanwhile.
const LEAST_MS = 10000;
const COLUMNS = ["usage.key", "usage.model", "usage.requests", "usage.input", "usage.output", "usage.cost"];
const PARTS = ["cache", "input", "output"];

export function usageCard() {
  const place = make("div", { class: "usage" });
  let running = null;
  let asked = 0;
  let seen = null;

  async function look() {
    asked = Date.now();
    try {
      const [byDay, byKey] = await Promise.all(["day", "key,model"].map((group) => ask(`/v1/usage?group_by=${group}`)));
      draw((seen = { byDay, byKey }));
    } catch (error) {
      place.replaceChildren(sayProblem(make("p", { class: "note" }), error));
    }
  }

  function draw({ byDay, byKey }) {
    const shown = days(byDay);
    const chart = bars(shown, words("usage.chart", { most: peak(shown) }));
    place.replaceChildren(totals(byDay.total), chart, legend(), table(COLUMNS, byKey.data.map(row), "usage.none"));
  }

  look();
  return {
    element: card("usage.title", place),
    show({ queues }) {
      const now = queues.chat.running + queues.agent.running;
      if (running !== null && now < running && Date.now() - asked > LEAST_MS) look();
      running = now;
    },
    translate: () => seen && draw(seen),
  };
}

const cached = (one) => one.cache_read_tokens + one.cache_write_tokens;
const money = (usd) => words("usage.usd", { usd: number(usd, { minimumFractionDigits: 2, maximumFractionDigits: usd < 1 ? 4 : 2 }) });
const short = (tokens) => number(tokens, { notation: "compact", maximumFractionDigits: 1 });

function totals(total) {
  const shown = { requests: number(total.jobs), input: short(total.input_tokens + cached(total)), output: short(total.output_tokens), cost: money(total.cost_usd) };
  return make(
    "dl",
    { class: "numbers" },
    Object.entries(shown).map(([name, text]) => make("div", {}, say(make("dt"), `usage.${name}`), make("dd", {}, text))),
  );
}

// Every day from the first to the last, also those on which nothing was asked.
function days({ from, to, data }) {
  const used = new Map(data.map((one) => [one.day, one]));
  const all = [];
  for (let day = new Date(`${from}T00:00Z`); day <= new Date(`${to}T00:00Z`); day.setUTCDate(day.getUTCDate() + 1)) {
    const one = used.get(day.toISOString().slice(0, 10));
    const parts = one ? [["cache", cached(one)], ["input", one.input_tokens], ["output", one.output_tokens]] : [];
    const date = time(day, { day: "numeric", month: "short", timeZone: "UTC" });
    const sum = parts.reduce((so_far, [, tokens]) => so_far + tokens, 0);
    all.push({ label: time(day, { day: "numeric", timeZone: "UTC" }), title: `${date}: ${number(sum)}`, sum, parts });
  }
  return all;
}

const peak = (all) => all.reduce((so_far, day) => (day.sum > so_far.sum ? day : so_far)).title;

const legend = () =>
  make("ul", { class: "legend" }, PARTS.map((part) => make("li", {}, make("i", { class: `bar-${part}` }), say(make("span"), `usage.tokens_${part}`))));

const row = (one) => [
  code(one.key),
  code(one.model),
  number(one.jobs),
  short(one.input_tokens + cached(one)),
  short(one.output_tokens),
  money(one.cost_usd),
];
