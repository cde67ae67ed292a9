// The quick start: sample programs to copy.
import { byId, make } from "./dom.js";
import { highlight } from "./highlight.js";
import { SAMPLES } from "./samples.js";
import { createTabs } from "./tabs.js";

export function startQuickStart() {
  const gateway = { origin: location.origin, model: document.documentElement.dataset.model };
  byId("base").textContent = `${gateway.origin}/v1`;
  createTabs(byId("samples"), SAMPLES.map((sample) => sample.name), byId("sample-panel"), (index) => {
    const { text, needs, language } = SAMPLES[index];
    byId("sample").replaceChildren(make("code", { "data-language": language }, highlight(text(gateway), language)));
    byId("sample-note").textContent = needs;
  });
}
