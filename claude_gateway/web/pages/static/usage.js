// The card of the usage of all keys in the last 30 days: a bar chart by day, and a table by key and model.
import { fetchJson, showProblem } from "./api.js";
import { card, code, table } from "./card.js";
import { bars } from "./chart.js";
import { make } from "./dom.js";
import { formatNumber, formatTime, setText, translate } from "./strings.js";

// The page refreshes the card after a reply has ended, at most once in this interval.
const MIN_REFRESH_INTERVAL_MS = 10000;
const COLUMNS = ["usage.key", "usage.model", "usage.requests", "usage.input", "usage.output", "usage.cost"];
const PARTS = ["cache", "input", "output"];

export function usageCard() {
  const container = make("div", { class: "usage" });
  let running = null;
  let refreshedAt = 0;
  let report = null;

  async function refresh() {
    refreshedAt = Date.now();
    try {
      const [byDay, byKey] = await Promise.all(["day", "key,model"].map((group) => fetchJson(`/v1/usage?group_by=${group}`)));
      draw((report = { byDay, byKey }));
    } catch (error) {
      container.replaceChildren(showProblem(make("p", { class: "note" }), error));
    }
  }

  function draw({ byDay, byKey }) {
    const days = listDays(byDay);
    const chart = bars(days, translate("usage.chart", { most: findPeak(days) }));
    container.replaceChildren(totals(byDay.total), chart, legend(), table(COLUMNS, byKey.data.map(toCells), "usage.none"));
  }

  refresh();
  return {
    element: card("usage.title", container),
    show({ queues }) {
      const now = queues.chat.running + queues.agent.running;
      if (running !== null && now < running && Date.now() - refreshedAt > MIN_REFRESH_INTERVAL_MS) refresh();
      running = now;
    },
    onLanguageChange: () => report && draw(report),
  };
}

const countCached = (row) => row.cache_read_tokens + row.cache_write_tokens;
const formatMoney = (usd) => translate("usage.usd", { usd: formatNumber(usd, { minimumFractionDigits: 2, maximumFractionDigits: usd < 1 ? 4 : 2 }) });
const formatTokens = (tokens) => formatNumber(tokens, { notation: "compact", maximumFractionDigits: 1 });

function totals(total) {
  const texts = { requests: formatNumber(total.jobs), input: formatTokens(total.input_tokens + countCached(total)), output: formatTokens(total.output_tokens), cost: formatMoney(total.cost_usd) };
  return make(
    "dl",
    { class: "numbers" },
    Object.entries(texts).map(([name, text]) => make("div", {}, setText(make("dt"), `usage.${name}`), make("dd", {}, text))),
  );
}

// Return every day from the first to the last, also those without usage.
function listDays({ from, to, data }) {
  const rows = new Map(data.map((row) => [row.day, row]));
  const days = [];
  for (let day = new Date(`${from}T00:00Z`); day <= new Date(`${to}T00:00Z`); day.setUTCDate(day.getUTCDate() + 1)) {
    const row = rows.get(day.toISOString().slice(0, 10));
    const parts = row ? [["cache", countCached(row)], ["input", row.input_tokens], ["output", row.output_tokens]] : [];
    const date = formatTime(day, { day: "numeric", month: "short", timeZone: "UTC" });
    const sum = parts.reduce((total, [, tokens]) => total + tokens, 0);
    days.push({ label: formatTime(day, { day: "numeric", timeZone: "UTC" }), title: `${date}: ${formatNumber(sum)}`, sum, parts });
  }
  return days;
}

const findPeak = (days) => days.reduce((peak, day) => (day.sum > peak.sum ? day : peak)).title;

const legend = () =>
  make("ul", { class: "legend" }, PARTS.map((part) => make("li", {}, make("i", { class: `bar-${part}` }), setText(make("span"), `usage.tokens_${part}`))));

const toCells = (row) => [
  code(row.key),
  code(row.model),
  formatNumber(row.jobs),
  formatTokens(row.input_tokens + countCached(row)),
  formatTokens(row.output_tokens),
  formatMoney(row.cost_usd),
];
