// Buttons that copy what stands in another element.
import { byId } from "./dom.js";
import { say } from "./strings.js";

const SHOWN_MS = 1600;

export function startCopying() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const text = button.dataset.copy ? byId(button.dataset.copy).textContent : button.parentElement.querySelector("code").textContent;
    const copied = await copy(text);
    say(button, copied ? "copy.copied" : "copy.failed");
    setTimeout(() => say(button, "copy.copy"), SHOWN_MS);
  });
}

// A page that came without TLS from another machine may not write to the clipboard.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
