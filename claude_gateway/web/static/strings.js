// Every word of the page in both languages, from the one table that the server reads too.
import { byId } from "./dom.js";
import { remember } from "./memory.js";

const table = await (await fetch(new URL("strings.json", import.meta.url))).json();
const root = document.documentElement;
const DIRECTIONS = { en: "ltr", ar: "rtl" };

export const language = () => root.lang;
export const has = (key) => key in table;

// The words for a key, with {names} replaced.
export function words(key, values = {}) {
  const text = table[key][language()];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

// Put words into an element, so that they follow when the language is switched.
export function say(element, key, values = {}) {
  const text = words(key, values);
  element.dataset.text = key;
  element.dataset.values = JSON.stringify(values);
  if (element.textContent !== text) element.textContent = text; // what is live is read aloud at each change
  return element;
}

// The same for what stands in no text: how an element is called to who cannot see it.
export function call(element, key) {
  element.dataset.label = key;
  element.setAttribute("aria-label", words(key));
  return element;
}

// Numbers and times keep the digits that stand in the code beside them.
const locale = () => (language() === "ar" ? "ar-u-nu-latn" : "en");
export const number = (value, options = {}) => new Intl.NumberFormat(locale(), options).format(value);
export const time = (value, options = { timeStyle: "medium" }) =>
  new Intl.DateTimeFormat(locale(), options).format(value);

export function startLanguage() {
  byId("language").addEventListener("click", (event) => {
    event.preventDefault();
    switchTo(language() === "ar" ? "en" : "ar");
  });
  describeSwitch();
}

function switchTo(chosen) {
  root.lang = chosen;
  root.dir = DIRECTIONS[chosen];
  remember("language", chosen);
  for (const element of document.querySelectorAll("[data-text]"))
    element.textContent = words(element.dataset.text, JSON.parse(element.dataset.values ?? "{}"));
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", words(element.dataset.label));
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = words(element.dataset.hint);
  describeSwitch();
  document.dispatchEvent(new Event("languagechange"));
}

function describeSwitch() {
  const other = language() === "ar" ? "en" : "ar";
  const link = byId("language");
  link.lang = link.hreflang = other;
  link.href = `/?language=${other}`;
}
