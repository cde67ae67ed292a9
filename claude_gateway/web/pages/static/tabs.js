// A row of tabs as ARIA specifies it: only the selected tab is in the tab order, and arrow keys move between tabs.
import { make } from "./dom.js";

export function createTabs(list, names, panel, onSelect) {
  const buttons = names.map((name, index) => {
    const id = `${list.id}-${index}`;
    return make("button", { type: "button", role: "tab", id, "aria-controls": panel.id, onclick: () => select(index) }, name);
  });
  list.replaceChildren(...buttons);
  list.addEventListener("keydown", (event) => {
    const current = buttons.findIndex((button) => button.getAttribute("aria-selected") === "true");
    // The row runs from left to right in every language, because its names do.
    const next = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    select((next + names.length) % names.length);
    buttons[(next + names.length) % names.length].focus();
  });
  select(0);

  function select(index) {
    buttons.forEach((button, position) => {
      button.setAttribute("aria-selected", String(position === index));
      button.tabIndex = position === index ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[index].id);
    onSelect(index);
  }
}
