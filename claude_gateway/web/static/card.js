// A titled card of the control room, and tables for it.
import { make } from "./dom.js";
import { call, say } from "./strings.js";

export function card(title, ...children) {
  return make("section", { class: "card panel" }, say(make("h3"), title), children);
}

// Columns are keys of words; rows are lists of texts or elements. Nothing at all is said in words.
export function table(columns, rows, empty) {
  if (!rows.length) return say(make("p", { class: "note" }), empty);
  const head = make("tr", {}, columns.map((key) => say(make("th", { scope: "col" }), key)));
  const body = rows.map((cells) => make("tr", {}, cells.map((cell) => make("td", {}, cell))));
  const scrolls = make("div", { class: "scrolls", tabindex: "0", role: "group" });
  scrolls.append(make("table", {}, make("thead", {}, head), make("tbody", {}, body)));
  return call(scrolls, "admin.table");
}

export const code = (text) => make("code", { dir: "ltr" }, text);
