// Just enough of a look at a program to colour its strings, words and comments.
import { make } from "./dom.js";

const WORDS = {
  bash: "curl",
  python: "from|import|as|with|for|in|print|def|class|return|if|else|try|except|while|True|False|None",
  javascript: "import|from|const|let|new|await|async|for|of|function|return|if|else|true|false|null",
  json: "true|false|null",
};

// `budget.left` is how many elements it may be made of; what is beyond them has no colours. Every match ends where the
// search goes on, also that of a string without an end: the time is that of one walk through the text.
export function coloured(text, language, budget = { left: Infinity }) {
  const words = WORDS[language] ?? "";
  const comment = language === "python" || language === "bash" ? "#.*" : language === "javascript" ? "\\/\\/.*" : "(?!)";
  const token = new RegExp(
    `(?<comment>${comment})|(?<string>"(?:[^"\\\\\\n]|\\\\.)*(?<end>"?)|'(?:[^'\\\\\\n]|\\\\.)*(?<end2>'?))|(?<word>\\b(?:${words || "(?!)"})\\b)|(?<digits>\\b\\d[\\d.]*\\b)`,
    "g",
  );
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(token)) {
    const { end: closed, end2: closedToo, ...kinds } = found.groups;
    if ((closed ?? closedToo) === "") continue; // an apostrophe
    if (budget.left <= 0) break;
    budget.left -= 1;
    const [kind] = Object.entries(kinds).find(([, value]) => value !== undefined);
    parts.push(text.slice(end, found.index), make("span", { class: `t-${kind}` }, found[0]));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}
