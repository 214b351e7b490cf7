// The choice of columns and of a grouping.

import { by, element, say } from "./element.js";
import { COLUMNS, USUAL } from "./columns.js";
import { GROUPINGS } from "./grouping.js";
import { load, save } from "./store.js";

// Returns the columns that the browser has kept; null if there are none that mean anything.
export function keptColumns() {
  const names = (load("columns") ?? "").split(",").filter((name) => COLUMNS.some(({ key }) => key === name));
  return names.length ? names : null;
}

export class Choices {
  constructor(table, changed) {
    this.table = table;
    this.changed = changed;
    this.select = by("group");
    this.select.append(...GROUPINGS.map(([value, label]) => element("option", { value }, label)));
    this.select.addEventListener("change", () => this.group(this.select.value));
    this.button = by("columns-open");
    this.menu = by("columns");
    this.boxes = new Map();
    const lines = COLUMNS.filter(({ key }) => key !== "name").map(({ key, label, title }) => {
      const box = element("input", { type: "checkbox", change: () => this.pick() });
      this.boxes.set(key, box);
      return element("label", { title }, box, label);
    });
    this.note = element("p", { class: "muted" });
    const usual = element("button", { type: "button", click: () => this.columns(USUAL) }, "As usual");
    this.menu.append(...lines, this.note, usual);
    this.button.addEventListener("click", () => this.unfold(this.menu.hidden));
    this.menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.unfold(false);
      this.button.focus();
    });
    addEventListener("pointerdown", ({ target }) => {
      if (!this.menu.hidden && !this.menu.contains(target) && target !== this.button) this.unfold(false);
    });
    this.show();
  }

  unfold(open) {
    this.menu.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) {
      this.show();
      this.boxes.values().next().value.focus();
    }
  }

  group(value) {
    this.table.group = value;
    this.show();
    this.changed();
  }

  // Takes the grouping after the present one.
  next() {
    const at = GROUPINGS.findIndex(([value]) => value === this.table.group);
    this.group(GROUPINGS[(at + 1) % GROUPINGS.length][0]);
  }

  pick() {
    this.columns(COLUMNS.map(({ key }) => key).filter((key) => key === "name" || this.boxes.get(key).checked));
  }

  columns(names) {
    this.table.columns = names;
    save("columns", names.join() === USUAL.join() ? "" : names.join());
    this.table.layOut();
    this.show();
    this.changed();
  }

  // Shows what is chosen.
  show() {
    this.select.value = this.table.group;
    for (const [key, box] of this.boxes) box.checked = this.table.columns.includes(key);
    const { hidden } = this.table;
    say(this.note, hidden ? `${hidden} of these ${hidden === 1 ? "has" : "have"} no room in this window.` : "");
  }
}
