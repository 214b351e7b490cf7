// What a search means: each of its words must be found in a text of the row, the event or the workload.

import { element } from "./element.js";
import { harmless } from "./format.js";

// Returns the words of a search.
export function terms(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

export function fits(words, all) {
  return all.every((term) => words.includes(term));
}

// Returns the first text of each word that the row itself does not show, so that the row can name it.
export function hiddenMatches(row, all) {
  const found = new Map();
  for (const term of all) {
    const has = ({ text }) => text.toLowerCase().includes(term);
    const field = row.fields.find((one) => one.shown && has(one)) ?? row.fields.find(has);
    if (field && !field.shown) found.set(`${field.label} ${field.text}`, field);
  }
  return [...found.values()];
}

// An IP address, or the beginning of one; a MAC address has six parts and no empty one.
export function isAddress(term) {
  return /^\d+\.\d+\.\d+(\.\d+)?(\/\d+)?$/.test(term) || (/^[0-9a-f:]+(\/\d+)?$/.test(term) && term.includes("::"));
}

const written = new WeakMap();

// Writes a text into a node, with a mark on each part that is searched for.
export function highlight(node, text, all) {
  const content = all.length ? `${all.join(" ")}\n${text}` : text;
  if (written.get(node) === content) return;
  written.set(node, content);
  node.replaceChildren(...marked(text, all));
}

// Returns the parts of a text: those that are searched for as elements, the others as text.
export function marked(text, all) {
  if (!all.length) return [harmless(text)];
  const longest = [...all].sort((one, other) => other.length - one.length);
  const pattern = new RegExp(`(${longest.map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
  return text.split(pattern).map((part, index) => (index % 2 ? element("mark", {}, part) : harmless(part)));
}
