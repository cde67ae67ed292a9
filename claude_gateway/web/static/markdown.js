// A model's Markdown as elements: the usual blocks and marks, made one by one, so that no text of it is ever markup.
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
const INLINE = /`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>"')\]]+)/g;

// Keeps the elements of blocks that a longer text has unchanged: a stream renders its last block alone.
export function renderer(parent) {
  let shown = [];
  return (text) => {
    const blocks = split(text);
    let same = 0;
    while (same < shown.length && same < blocks.length && shown[same] === blocks[same].source) same += 1;
    while (parent.childElementCount > same) parent.lastElementChild.remove();
    parent.append(...blocks.slice(same).map(block));
    shown = blocks.map(({ source }) => source);
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
  for (const line of text.split("\n")) {
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
  return blocks.map((one) => ({ ...one, source: `${one.kind} ${one.language ?? ""}\n${one.lines.join("\n")}` }));
}

function block({ kind, lines, language }) {
  switch (kind) {
    case "code":
      return code(lines.join("\n"), language);
    case "heading": {
      const [, marks, text] = HEADING.exec(lines[0]);
      // The page has its own first two levels.
      return make(`h${Math.min(6, marks.length + 2)}`, { dir: "auto" }, inline(text));
    }
    case "bullets":
      return make("ul", { dir: "auto" }, lines.map((line) => make("li", {}, inline(item(line, BULLET, 1)))));
    case "numbers":
      return make("ol", { dir: "auto", start: NUMBERED.exec(lines[0])[1] }, lines.map((line) => make("li", {}, inline(item(line, NUMBERED, 2)))));
    case "quote":
      return make("blockquote", { dir: "auto" }, inline(lines.map((line) => QUOTE.exec(line)[1]).join("\n")));
    case "rule":
      return make("hr");
    case "table":
      return table(lines);
    default:
      return make("p", { dir: "auto" }, inline(lines.join("\n")));
  }
}

// A line of a list, with what went on in the lines below it.
const item = (line, pattern, group) => {
  const [first, ...rest] = line.split("\n");
  return [pattern.exec(first)[group], ...rest].join("\n");
};

function code(text, language) {
  const copy = say(make("button", { type: "button", class: "copy" }), "copy.copy");
  return make("div", { class: "block-code", dir: "ltr" }, make("pre", { tabindex: "0" }, make("code", {}, coloured(text, language))), copy);
}

function table(lines) {
  const cells = (line) => line.trim().slice(1, -1).split("|").map((cell) => cell.trim());
  const [head, ...rest] = lines.filter((line) => !/^[\s|:-]+$/.test(line));
  const row = (line, tag) => make("tr", {}, cells(line).map((cell) => make(tag, { dir: "auto" }, inline(cell))));
  return make("div", { class: "block-table", tabindex: "0" }, make("table", {}, head && make("thead", {}, row(head, "th")), make("tbody", {}, rest.map((line) => row(line, "td")))));
}

function inline(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [all, mono, bold, bolder, slanted, label, address, bare] = found;
    parts.push(text.slice(end, found.index));
    if (mono) parts.push(make("code", { dir: "auto" }, mono));
    else if (bold || bolder) parts.push(make("strong", {}, inline(bold ?? bolder)));
    else if (slanted) parts.push(make("em", {}, inline(slanted)));
    else parts.push(make("a", { href: address ?? bare, target: "_blank", rel: "noopener noreferrer" }, label ?? bare));
    end = found.index + all.length;
  }
  return [...parts, text.slice(end)];
}
