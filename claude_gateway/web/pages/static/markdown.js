// A renderer for the Markdown of a model. It creates each element itself, so text of the model never becomes markup.
// The time grows linearly with the length of the text, because each pattern ends at the first character that could
// start the pattern again. The renderer shows text beyond MAX_ELEMENTS elements or MAX_LINES lines without markup.
import { make } from "./dom.js";
import { highlight } from "./highlight.js";
import { setText } from "./strings.js";

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

// Return a function that renders a text into `parent`. It keeps the elements of blocks that did not change, so a stream
// renders only its last block again.
export function renderer(parent) {
  let rendered = [];
  return (text) => {
    const blocks = split(text);
    let same = 0;
    while (same < rendered.length && same < blocks.length && rendered[same].source === blocks[same].source) same += 1;
    rendered.length = same;
    while (parent.childElementCount > same) parent.lastElementChild.remove();
    const budget = { left: rendered.at(-1)?.left ?? MAX_ELEMENTS };
    const added = [];
    for (const next of blocks.slice(same)) {
      if (budget.left <= 0) break;
      budget.left -= next.kind === "code" ? 4 : 1;
      added.push(block(next, budget));
      rendered.push({ source: next.source, left: budget.left });
    }
    const rest = blocks.slice(rendered.length);
    if (rest.length) added.push(make("p", { dir: "auto" }, rest.map(({ lines }) => lines.join("\n")).join("\n\n")));
    parent.append(...added);
  };
}

// Return the blocks of a text: `kind`, `lines`, and `source`, which is equal for equal blocks.
function split(text) {
  const blocks = [];
  let open = null;
  const add = (kind, line, options = {}) => {
    if (open?.kind === kind && !options.alone) open.lines.push(line);
    else blocks.push((open = { kind, lines: [line], ...options }));
  };
  let fence = null;
  const lines = text.split("\n");
  for (const line of lines.slice(0, MAX_LINES)) {
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
    else add("paragraph", line);
  }
  if (lines.length > MAX_LINES) blocks.push({ kind: "rest", lines: lines.slice(MAX_LINES) });
  return blocks.map((part) => ({ ...part, source: `${part.kind} ${part.language ?? ""}\n${part.lines.join("\n")}` }));
}

function block({ kind, lines, language }, budget) {
  const items = (pattern, group) => mapWithin(budget, lines, (line) => make("li", {}, inline(item(line, pattern, group), budget)));
  switch (kind) {
    case "code":
      return code(lines.join("\n"), language, budget);
    case "heading": {
      const [, marks, text] = HEADING.exec(lines[0]);
      // The page itself uses the first two levels.
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

// Return an element for each line within the budget, and the other lines as one text.
function mapWithin(budget, lines, element) {
  const elements = [];
  for (const line of lines) {
    if (budget.left <= 0) return [...elements, lines.slice(elements.length).join("\n")];
    budget.left -= 1;
    elements.push(element(line));
  }
  return elements;
}

// Return the text of a list item, with its continuation lines.
const item = (line, pattern, group) => {
  const [first, ...rest] = line.split("\n");
  return [pattern.exec(first)[group], ...rest].join("\n");
};

function code(text, language, budget) {
  const copy = setText(make("button", { type: "button", class: "copy" }), "copy.copy");
  return make("div", { class: "block-code", dir: "ltr" }, make("pre", { tabindex: "0" }, make("code", {}, highlight(text, language, budget))), copy);
}

function table(lines, budget) {
  const cells = (line) => line.trim().slice(1, -1).split("|", MAX_COLUMNS).map((cell) => cell.trim());
  const [head, ...rest] = lines.filter((line) => !/^[\s|:-]+$/.test(line));
  const row = (line, tag) => make("tr", {}, mapWithin(budget, cells(line), (cell) => make(tag, { dir: "auto" }, inline(cell, budget))));
  return make("div", { class: "block-table", tabindex: "0" }, make("table", {}, head && make("thead", {}, row(head, "th")), make("tbody", {}, mapWithin(budget, rest, (line) => row(line, "td")))));
}

function inline(text, budget) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (budget.left <= 0) break;
    budget.left -= 1;
    const [markup, codeText, bold, boldUnderscore, italic, label, address, bareAddress] = match;
    parts.push(text.slice(end, match.index));
    if (codeText) parts.push(make("code", { dir: "auto" }, codeText));
    else if (bold || boldUnderscore) parts.push(make("strong", {}, inline(bold ?? boldUnderscore, budget)));
    else if (italic) parts.push(make("em", {}, inline(italic, budget)));
    else parts.push(make("a", { href: address ?? bareAddress, target: "_blank", rel: "noopener noreferrer" }, label ?? bareAddress));
    end = match.index + markup.length;
  }
  return [...parts, text.slice(end)];
}
