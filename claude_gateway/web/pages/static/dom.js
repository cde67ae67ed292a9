// Creates elements without HTML strings, so that text of a model, a client or a server never becomes markup.
const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// make("p", {class: "note", onclick: f}, "text", element, null): null and false are omitted.
export const make = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);

export const makeSvg = (tag, properties = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), properties, children);

// Children are added before the attributes: an element with `dir="auto"` scans its whole text again for each new child.
function fill(element, properties, children) {
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  return element;
}
