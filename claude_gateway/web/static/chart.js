// Small charts drawn by hand: a line of the last minutes, and bars of days.
import { draw, make } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 44;

// What was there stays until the next sample, so it is drawn in steps; the right edge is now.
export function sparkline(points, span) {
  const most = Math.max(1, ...points.map(({ value }) => value));
  const now = points.at(-1).at;
  const x = (at) => WIDTH - ((now - at) / span) * WIDTH;
  const y = (value) => HEIGHT - 3 - (value / most) * (HEIGHT - 6);
  const steps = points.map(({ at, value }, index) => `${index ? "H" : "M"}${x(at).toFixed(1)} ${index ? `V${y(value).toFixed(1)}` : y(value).toFixed(1)}`);
  const line = `${steps.join(" ")} H${WIDTH}`;
  const area = `${line} V${HEIGHT} H${x(points[0].at).toFixed(1)} Z`;
  return draw(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("path", { class: "spark-base", d: `M0 ${HEIGHT - 3}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }),
    draw("path", { class: "spark-area", d: area }),
    draw("path", { class: "spark-line", d: line, "vector-effect": "non-scaling-stroke" }),
  );
}

// One bar a day, each of parts that stand on one another: [{label, title, parts: [[name, value], …]}].
export function bars(days, label) {
  const most = Math.max(1, ...days.map(({ parts }) => parts.reduce((sum, [, value]) => sum + value, 0)));
  return make("div", { class: "bars", role: "group", "aria-label": label }, days.map((day) => bar(day, most)));
}

function bar({ label, title, parts }, most) {
  let top = 100;
  const rectangles = parts.map(([name, value]) => {
    const height = (value / most) * 100;
    top -= height;
    return draw("rect", { class: `bar-${name}`, x: 0, y: top.toFixed(2), width: 10, height: height.toFixed(2) });
  });
  const column = draw("svg", { viewBox: "0 0 10 100", preserveAspectRatio: "none" }, draw("title", {}, title), rectangles);
  return make("div", { class: "bar" }, column, make("span", {}, label));
}
