// Elements. The page makes none from markup: a name stays text, and harmless.

import { harmless } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

// Makes an element; a property that is a function listens to an event, each other one is an attribute.
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// Makes an element of an SVG drawing.
export function drawing(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, shown(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map(shown));
  return node;
}

// Returns a text in its harmless form; anything else as it is.
function shown(value) {
  return typeof value === "string" ? harmless(value) : value;
}

// Sets a node's text if it differs, so that the browser lays out only what changes.
export function say(node, text) {
  const harmlessText = shown(text);
  if (node.textContent !== harmlessText) node.textContent = harmlessText;
}

// Sets an attribute if it differs; null removes it.
export function set(node, name, value) {
  const text = value === null ? null : shown(String(value));
  if (node.getAttribute(name) === text) return;
  if (text === null) node.removeAttribute(name);
  else node.setAttribute(name, text);
}

export function by(id) {
  return document.getElementById(id);
}

// A button that copies a text.
export function copyButton(what, text) {
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    say(button, (await copied(text)) ? "Copied" : "Not copied");
    setTimeout(() => say(button, "Copy"), 1500);
  });
  return button;
}

// Copies a text; without TLS a browser has only the older way, by a selection.
async function copied(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // The browser refused; the older way may work.
    }
  }
  const before = document.activeElement;
  const area = element("textarea", { class: "hidden", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}
