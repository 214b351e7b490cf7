// Elements are made here, and nowhere from markup: whatever a name holds stays text, and harmless.

import { harmless } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

// Makes an element; properties that are functions listen to an event, all others are attributes.
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// The same for a part of a picture.
export function drawing(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, shown(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map(shown));
  return node;
}

// A text as it is shown; all else as it is.
function shown(value) {
  return typeof value === "string" ? harmless(value) : value;
}

// Sets a node's text if it is another: what does not change is not drawn again.
export function say(node, text) {
  const harmlessText = shown(text);
  if (node.textContent !== harmlessText) node.textContent = harmlessText;
}

// A button that copies what it is given. Without TLS browsers have no clipboard but this older one.
export function copyButton(what, text) {
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    say(button, (await copied(text)) ? "Copied" : "Not copied");
    setTimeout(() => say(button, "Copy"), 1500);
  });
  return button;
}

async function copied(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: there is the other way.
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
