// Elements without markup in strings: whatever a model, a caller or a server says only ever becomes text.
const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// make("p", {class: "note", onclick: f}, "text", element, null): null and false are left out.
export const make = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);

export const draw = (tag, properties = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), properties, children);

// The children first: an element of `dir="auto"` looks at its whole text again for each child that it gets.
function fill(element, properties, children) {
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  return element;
}
