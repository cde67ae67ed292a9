// The theme: light or dark as the system prefers, until the reader switches it.
import { byId } from "./dom.js";
import { savePreference } from "./preferences.js";

const root = document.documentElement;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches);

export function startTheme() {
  const button = byId("theme");
  const updateButton = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    savePreference("theme", root.dataset.theme);
    updateButton();
  });
  systemIsDark.addEventListener("change", updateButton);
  updateButton();
}
