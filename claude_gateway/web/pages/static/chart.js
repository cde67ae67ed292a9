// Small SVG charts: a line of the last minutes, a bar for each day, and a bar for a share.
import { makeSvg, make } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 44;

// A value holds until the next sample, so the line has steps. The right edge is the current time.
export function sparkline(points, span) {
  const highest = Math.max(1, ...points.map(({ value }) => value));
  const now = points.at(-1).at;
  const x = (at) => WIDTH - ((now - at) / span) * WIDTH;
  const y = (value) => HEIGHT - 3 - (value / highest) * (HEIGHT - 6);
  const steps = points.map(({ at, value }, index) => `${index ? "H" : "M"}${x(at).toFixed(1)} ${index ? `V${y(value).toFixed(1)}` : y(value).toFixed(1)}`);
  const line = `${steps.join(" ")} H${WIDTH}`;
  const area = `${line} V${HEIGHT} H${x(points[0].at).toFixed(1)} Z`;
  return makeSvg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("path", { class: "spark-base", d: `M0 ${HEIGHT - 3}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }),
    makeSvg("path", { class: "spark-area", d: area }),
    makeSvg("path", { class: "spark-line", d: line, "vector-effect": "non-scaling-stroke" }),
  );
}

// Return a bar for a share from 0 to 1. A text beside it gives the number.
export function shareBar(share) {
  const width = Math.min(1, Math.max(0, share)) * 100;
  return makeSvg(
    "svg",
    { class: "share-bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("rect", { x: 0, y: 0, width: width.toFixed(1), height: 10 }),
  );
}

// Return a stacked bar for each day: [{label, title, parts: [[name, value], …]}].
export function bars(days, label) {
  const highest = Math.max(1, ...days.map(({ parts }) => parts.reduce((sum, [, value]) => sum + value, 0)));
  return make("div", { class: "bars", role: "group", "aria-label": label }, days.map((day) => bar(day, highest)));
}

function bar({ label, title, parts }, highest) {
  let top = 100;
  const rectangles = parts.map(([name, value]) => {
    const height = (value / highest) * 100;
    top -= height;
    return makeSvg("rect", { class: `bar-${name}`, x: 0, y: top.toFixed(2), width: 10, height: height.toFixed(2) });
  });
  const column = makeSvg("svg", { viewBox: "0 0 10 100", preserveAspectRatio: "none" }, makeSvg("title", {}, title), rectangles);
  return make("div", { class: "bar" }, column, make("span", {}, label));
}
