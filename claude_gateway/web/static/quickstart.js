// The first request, ready to be copied.
import { coloured } from "./colours.js";
import { byId, make } from "./dom.js";
import { SAMPLES } from "./samples.js";
import { tabs } from "./tabs.js";

export function startQuickStart() {
  const here = { origin: location.origin, model: document.documentElement.dataset.model };
  byId("base").textContent = `${here.origin}/v1`;
  tabs(byId("samples"), SAMPLES.map((sample) => sample.name), byId("sample-panel"), (index) => {
    const { text, needs, language } = SAMPLES[index];
    byId("sample").replaceChildren(make("code", { "data-language": language }, coloured(text(here), language)));
    byId("sample-note").textContent = needs;
  });
}
