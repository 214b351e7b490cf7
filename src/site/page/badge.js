// The mark of a problem: a symbol and a word, so that it can be read without its colour.

import { element } from "./element.js";

const SYMBOLS = { critical: "✖", warning: "▲", notice: "●" };

const WORDS = {
  link_down: "down",
  drops: "drops",
  mtu_mismatch: "MTU",
  stale_member: "stale",
  crash_loop: "crash loop",
  duplicate_address: "address twice",
  same_address: "address twice",
  port_not_forwarding: "port closed",
  neighbour_failed: "no ARP answer",
  neighbour_other: "wrong neighbour",
  route_refuses: "route refuses",
  rp_filter: "rp_filter",
  accept_local: "accept_local",
  arp_ignore: "arp_ignore",
  forwarding_off: "not forwarding",
  listen_overflow: "queue full",
  source: "source",
};

export function symbol(severity) {
  return SYMBOLS[severity] ?? SYMBOLS.notice;
}

export function word(kind) {
  return WORDS[kind] ?? String(kind ?? "problem").replaceAll("_", " ");
}

export function badge() {
  return element("span", { class: "badge", hidden: true });
}

// Shows a problem, or nothing, and how many more there are.
export function show(node, problem, more = 0) {
  const text = problem ? `${symbol(problem.severity)} ${word(problem.kind)}${more > 0 ? ` +${more}` : ""}` : "";
  if (node.textContent !== text) node.textContent = text;
  if (node.hidden !== !problem) node.hidden = !problem;
  if (problem && node.dataset.severity !== problem.severity) node.dataset.severity = problem.severity;
}
