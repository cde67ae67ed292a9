// Buttons that copy the text of another element.
import { byId } from "./dom.js";
import { setText } from "./strings.js";

const FEEDBACK_MS = 1600;

export function startCopyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const text = button.dataset.copy ? byId(button.dataset.copy).textContent : button.parentElement.querySelector("code").textContent;
    const isCopied = await copy(text);
    setText(button, isCopied ? "copy.copied" : "copy.failed");
    setTimeout(() => setText(button, "copy.copy"), FEEDBACK_MS);
  });
}

// Browsers forbid a page without TLS from another machine to write to the clipboard.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
