// Light or dark: as the system says, until somebody switches.
import { byId } from "./dom.js";
import { remember } from "./memory.js";

const root = document.documentElement;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches);

export function startTheme() {
  const button = byId("theme");
  const tell = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember("theme", root.dataset.theme);
    tell();
  });
  systemIsDark.addEventListener("change", tell);
  tell();
}
