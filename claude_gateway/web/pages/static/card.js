// Cards and tables of the administration section.
import { make } from "./dom.js";
import { setLabel, setText } from "./strings.js";

export function card(title, ...children) {
  return make("section", { class: "card panel" }, setText(make("h3"), title), children);
}

// `columns` and `emptyText` are keys of strings; each row is a list of texts or elements. The page shows the text instead
// of an empty table.
export function table(columns, rows, emptyText) {
  if (!rows.length) return setText(make("p", { class: "note" }), emptyText);
  const head = make("tr", {}, columns.map((key) => setText(make("th", { scope: "col" }), key)));
  const body = rows.map((cells) => make("tr", {}, cells.map((cell) => make("td", {}, cell))));
  const scrollContainer = make("div", { class: "scroll-container", tabindex: "0", role: "group" });
  scrollContainer.append(make("table", {}, make("thead", {}, head), make("tbody", {}, body)));
  return setLabel(scrollContainer, "admin.table");
}

export const code = (text) => make("code", { dir: "ltr" }, text);
