// Texts of the page in both languages, from the table that the server uses too.
import { byId } from "./dom.js";
import { savePreference } from "./preferences.js";

const table = await (await fetch(new URL("strings.json", import.meta.url))).json();
const root = document.documentElement;
const DIRECTIONS = { en: "ltr", ar: "rtl" };

export const language = () => root.lang;
export const hasString = (key) => key in table;

// Return the text for a key, with its {placeholders} replaced.
export function translate(key, values = {}) {
  const text = table[key][language()];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

// Set the text of an element; it is translated again when the reader switches the language.
export function setText(element, key, values = {}) {
  const text = translate(key, values);
  element.dataset.text = key;
  element.dataset.values = JSON.stringify(values);
  if (element.textContent !== text) element.textContent = text; // screen readers announce each change of a live region
  return element;
}

// Set the label of an element for screen readers; it is translated again when the reader switches the language.
export function setLabel(element, key) {
  element.dataset.label = key;
  element.setAttribute("aria-label", translate(key));
  return element;
}

// Arabic numbers and times use Latin digits, as the code samples do.
const locale = () => (language() === "ar" ? "ar-u-nu-latn" : "en");
export const formatNumber = (value, options = {}) => new Intl.NumberFormat(locale(), options).format(value);
export const formatTime = (value, options = { timeStyle: "medium" }) =>
  new Intl.DateTimeFormat(locale(), options).format(value);

export function startLanguage() {
  byId("language").addEventListener("click", (event) => {
    event.preventDefault();
    switchTo(language() === "ar" ? "en" : "ar");
  });
  updateSwitch();
}

function switchTo(newLanguage) {
  root.lang = newLanguage;
  root.dir = DIRECTIONS[newLanguage];
  savePreference("language", newLanguage);
  for (const element of document.querySelectorAll("[data-text]"))
    element.textContent = translate(element.dataset.text, JSON.parse(element.dataset.values ?? "{}"));
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", translate(element.dataset.label));
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = translate(element.dataset.hint);
  updateSwitch();
  document.dispatchEvent(new Event("languagechange"));
}

function updateSwitch() {
  const other = language() === "ar" ? "en" : "ar";
  const link = byId("language");
  link.lang = link.hreflang = other;
  link.href = `/?language=${other}`;
}
