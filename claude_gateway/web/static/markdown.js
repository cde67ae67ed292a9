// A model's Markdown as elements: the usual blocks and marks, made one by one, so that no text of it is ever markup.
// The time that it takes grows with the text and no faster, whatever the model says: each pattern ends at what could
// begin it again, and beyond MAX_ELEMENTS elements or MAX_LINES lines there is only text.
import { coloured } from "./colours.js";
import { make } from "./dom.js";
import { say } from "./strings.js";

const FENCE = /^\s*(```|~~~)\s*([\w+-]*)/;
const HEADING = /^(#{1,6})\s+(.*)/;
const BULLET = /^\s*[-*+]\s+(.*)/;
const NUMBERED = /^\s*(\d+)[.)]\s+(.*)/;
const QUOTE = /^\s*>\s?(.*)/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const ROW = /^\s*\|.*\|\s*$/;
const INLINE = /`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*([^*\s][^*]*)\*|\[([^[\]]+)\]\((https?:\/\/[^\s()[\]]+)\)|(https?:\/\/[^\s<>"')\]]+)/g;

const MAX_ELEMENTS = 5000;
const MAX_LINES = 20000;
const MAX_COLUMNS = 50;

// Keeps the elements of blocks that a longer text has unchanged: a stream renders its last block alone.
export function renderer(parent) {
  let shown = [];
  return (text) => {
    const blocks = split(text);
    let same = 0;
    while (same < shown.length && same < blocks.length && shown[same].source === blocks[same].source) same += 1;
    shown.length = same;
    while (parent.childElementCount > same) parent.lastElementChild.remove();
    const budget = { left: shown.at(-1)?.left ?? MAX_ELEMENTS };
    const made = [];
    for (const one of blocks.slice(same)) {
      if (budget.left <= 0) break;
      budget.left -= one.kind === "code" ? 4 : 1;
      made.push(block(one, budget));
      shown.push({ source: one.source, left: budget.left });
    }
    const rest = blocks.slice(shown.length);
    if (rest.length) made.push(make("p", { dir: "auto" }, rest.map(({ lines }) => lines.join("\n")).join("\n\n")));
    parent.append(...made);
  };
}

// The blocks of a text: `kind`, its `lines`, and `source`, by which it is known again.
function split(text) {
  const blocks = [];
  let open = null;
  const add = (kind, line, more = {}) => {
    if (open?.kind === kind && !more.alone) open.lines.push(line);
    else blocks.push((open = { kind, lines: [line], ...more }));
  };
  let fence = null;
  const all = text.split("\n");
  for (const line of all.slice(0, MAX_LINES)) {
    const opening = FENCE.exec(line);
    if (fence) {
      if (opening && opening[1] === fence) fence = open = null;
      else open.lines.push(line);
    } else if (opening) {
      fence = opening[1];
      blocks.push((open = { kind: "code", lines: [], language: opening[2] }));
    } else if (line.trim() === "") open = null;
    else if (RULE.test(line)) add("rule", line, { alone: true });
    else if (HEADING.test(line)) add("heading", line, { alone: true });
    else if (BULLET.test(line)) add("bullets", line);
    else if (NUMBERED.test(line)) add("numbers", line);
    else if (QUOTE.test(line)) add("quote", line);
    else if (ROW.test(line)) add("table", line);
    else if (open && (open.kind === "bullets" || open.kind === "numbers")) open.lines[open.lines.length - 1] += `\n${line.trim()}`;
    else add("words", line);
  }
  if (all.length > MAX_LINES) blocks.push({ kind: "rest", lines: all.slice(MAX_LINES) });
  return blocks.map((one) => ({ ...one, source: `${one.kind} ${one.language ?? ""}\n${one.lines.join("\n")}` }));
}

function block({ kind, lines, language }, budget) {
  const items = (pattern, group) => within(budget, lines, (line) => make("li", {}, inline(item(line, pattern, group), budget)));
  switch (kind) {
    case "code":
      return code(lines.join("\n"), language, budget);
    case "heading": {
      const [, marks, text] = HEADING.exec(lines[0]);
      // The page has its own first two levels.
      return make(`h${Math.min(6, marks.length + 2)}`, { dir: "auto" }, inline(text, budget));
    }
    case "bullets":
      return make("ul", { dir: "auto" }, items(BULLET, 1));
    case "numbers":
      return make("ol", { dir: "auto", start: NUMBERED.exec(lines[0])[1] }, items(NUMBERED, 2));
    case "quote":
      return make("blockquote", { dir: "auto" }, inline(lines.map((line) => QUOTE.exec(line)[1]).join("\n"), budget));
    case "rule":
      return make("hr");
    case "table":
      return table(lines, budget);
    case "rest":
      return make("p", { dir: "auto" }, lines.join("\n"));
    default:
      return make("p", { dir: "auto" }, inline(lines.join("\n"), budget));
  }
}

// An element of each line as long as there may be more, and the lines beyond as text.
function within(budget, lines, element) {
  const made = [];
  for (const line of lines) {
    if (budget.left <= 0) return [...made, lines.slice(made.length).join("\n")];
    budget.left -= 1;
    made.push(element(line));
  }
  return made;
}

// A line of a list, with what went on in the lines below it.
const item = (line, pattern, group) => {
  const [first, ...rest] = line.split("\n");
  return [pattern.exec(first)[group], ...rest].join("\n");
};

function code(text, language, budget) {
  const copy = say(make("button", { type: "button", class: "copy" }), "copy.copy");
  return make("div", { class: "block-code", dir: "ltr" }, make("pre", { tabindex: "0" }, make("code", {}, coloured(text, language, budget))), copy);
}

function table(lines, budget) {
  const cells = (line) => line.trim().slice(1, -1).split("|", MAX_COLUMNS).map((cell) => cell.trim());
  const [head, ...rest] = lines.filter((line) => !/^[\s|:-]+$/.test(line));
  const row = (line, tag) => make("tr", {}, within(budget, cells(line), (cell) => make(tag, { dir: "auto" }, inline(cell, budget))));
  return make("div", { class: "block-table", tabindex: "0" }, make("table", {}, head && make("thead", {}, row(head, "th")), make("tbody", {}, within(budget, rest, (line) => row(line, "td")))));
}

function inline(text, budget) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    if (budget.left <= 0) break;
    budget.left -= 1;
    const [all, mono, bold, bolder, slanted, label, address, bare] = found;
    parts.push(text.slice(end, found.index));
    if (mono) parts.push(make("code", { dir: "auto" }, mono));
    else if (bold || bolder) parts.push(make("strong", {}, inline(bold ?? bolder, budget)));
    else if (slanted) parts.push(make("em", {}, inline(slanted, budget)));
    else parts.push(make("a", { href: address ?? bare, target: "_blank", rel: "noopener noreferrer" }, label ?? bare));
    end = found.index + all.length;
  }
  return [...parts, text.slice(end)];
}
