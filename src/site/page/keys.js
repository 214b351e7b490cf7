// The keys of the page, which are those of `veth-exporter top`, and the dialog that lists them.

import { by, element } from "./element.js";

// The columns that a letter sorts by.
export const SORTS = { w: "name", n: "network", d: "device", r: "receive", t: "transmit", b: "activity", p: "peak", x: "drops" };

const ROWS = new Set(["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End", "Enter", "ArrowLeft", "ArrowRight", "j", "k", "g", "G"]);

const LINES = [
  [["↑", "↓", "PgUp", "PgDn", "Home", "End"], "choose a row; also k, j, g, G"],
  [["Enter"], "open the row’s details, or fold a group"],
  [["←", "→"], "fold and unfold a group"],
  [["Esc"], "close the details, then clear the search"],
  [["/"], "search"],
  [["Space"], "pause, and go on"],
  [["w", "n", "d", "r", "t", "b", "p", "x"], "sort by workload, network, device, receive, transmit, both together, peak, drops; again: the other way round"],
  [["o"], "next grouping: none, Compose project, network, workload"],
  [["?"], "this list"],
];

// Listens to the keys. `on` has what they do: escape, search, pause, sort, group, and `row`, which returns whether it took the key.
export function listen(on) {
  const dialog = by("keys");
  by("keys-list").append(...LINES.map(([keys, what]) => element("div", {}, element("dt", {}, ...keys.flatMap((key) => [element("kbd", {}, key), " "])), element("dd", {}, what))));
  const show = () => dialog.open || dialog.showModal();
  by("keys-open").addEventListener("click", show);
  by("keys-close").addEventListener("click", () => dialog.close());
  // A click beside the dialog is one on its backdrop, which belongs to the dialog.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || dialog.open) return;
    if (key === "Escape") return void on.escape(target instanceof HTMLInputElement);
    if (target.matches("input, select, textarea")) return;
    if (take(key, target, { ...on, show })) event.preventDefault();
  });
}

function take(key, target, on) {
  const idle = target === document.body || target === document.documentElement || target.id === "pairs";
  if (key === "/") on.search();
  else if (key === "?") on.show();
  else if (key in SORTS) on.sort(SORTS[key]);
  else if (key === "o") on.group();
  else if (key === " " && (idle || target.classList.contains("grid"))) on.pause();
  // A key on a fresh page, where nothing has the focus, is for the table.
  else if (ROWS.has(key) && idle) return on.row(event(key));
  else return false;
  return true;
}

function event(key) {
  return { key, ctrlKey: false, metaKey: false, altKey: false };
}
