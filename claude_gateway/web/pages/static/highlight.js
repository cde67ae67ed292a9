// A simple syntax highlighter for strings, keywords, numbers and comments.
import { make } from "./dom.js";

const KEYWORDS = {
  bash: "curl",
  python: "from|import|as|with|for|in|print|def|class|return|if|else|try|except|while|True|False|None",
  javascript: "import|from|const|let|new|await|async|for|of|function|return|if|else|true|false|null",
  json: "true|false|null",
};

// `budget.left` is the count of elements that may still be created; the rest of the text has no colours. The search
// continues where a match ends, also after an unterminated string, so the time grows linearly with the text.
export function highlight(text, language, budget = { left: Infinity }) {
  const keywords = KEYWORDS[language] ?? "";
  const comment = language === "python" || language === "bash" ? "#.*" : language === "javascript" ? "\\/\\/.*" : "(?!)";
  const token = new RegExp(
    `(?<comment>${comment})|(?<string>"(?:[^"\\\\\\n]|\\\\.)*(?<end>"?)|'(?:[^'\\\\\\n]|\\\\.)*(?<end2>'?))|(?<word>\\b(?:${keywords || "(?!)"})\\b)|(?<digits>\\b\\d[\\d.]*\\b)`,
    "g",
  );
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(token)) {
    const { end: closed, end2: closedToo, ...kinds } = match.groups;
    if ((closed ?? closedToo) === "") continue; // an apostrophe
    if (budget.left <= 0) break;
    budget.left -= 1;
    const [kind] = Object.entries(kinds).find(([, value]) => value !== undefined);
    parts.push(text.slice(end, match.index), make("span", { class: `t-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}
