// A row of tabs as ARIA has it: one is in the order of the Tab key, arrows move between them.
import { make } from "./dom.js";

export function tabs(list, names, panel, choose) {
  const buttons = names.map((name, index) => {
    const id = `${list.id}-${index}`;
    return make("button", { type: "button", role: "tab", id, "aria-controls": panel.id, onclick: () => select(index) }, name);
  });
  list.replaceChildren(...buttons);
  list.addEventListener("keydown", (event) => {
    const now = buttons.findIndex((button) => button.getAttribute("aria-selected") === "true");
    // The row runs from left to right in every language, as the names in it do.
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select((to + names.length) % names.length);
    buttons[(to + names.length) % names.length].focus();
  });
  select(0);

  function select(index) {
    buttons.forEach((button, place) => {
      button.setAttribute("aria-selected", String(place === index));
      button.tabIndex = place === index ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[index].id);
    choose(index);
  }
}
