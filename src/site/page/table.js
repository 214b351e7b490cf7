// The table of pairs. The window scrolls, and the document has the visible rows alone.

import { chosen, column, COLUMNS, fitting, sort, template, USUAL } from "./columns.js";
import { element, say, set } from "./element.js";
import { entries, Group, isGrouping } from "./grouping.js";
import { Row } from "./row.js";
import { isAddress } from "./search.js";
import { GroupSlot, RowSlot } from "./slot.js";

// The number of rows above and below the visible ones that the document has as well.
const SPARE = 6;

const narrow = matchMedia("(max-width: 760px)");
const ROW = () => (narrow.matches ? 62 : 34);

export class Table {
  rows = [];
  entries = [];
  sort = { key: "activity", falling: true };
  group = "";
  terms = [];
  columns = USUAL;
  folded = new Set();
  // The key of the chosen entry, and the entry: a row's key changes with its names.
  active = null;
  chosen = null;
  slots = { row: [], group: [] };
  visible = new Set(USUAL);

  constructor(place, { open, changed }) {
    this.open = open;
    this.changed = changed;
    this.heads = new Map();
    const head = element("div", { class: "row head", role: "row", "aria-rowindex": 1 }, ...COLUMNS.map((one) => this.head(one)));
    this.body = element("div", { class: "rows", role: "rowgroup" });
    this.grid = element(
      "div",
      { class: "grid", role: "grid", tabindex: "0", "aria-label": "Pairs", keydown: (event) => this.key(event) },
      element("div", { class: "heads", role: "rowgroup" }, head),
      this.body,
    );
    this.none = element("p", { class: "none", hidden: true });
    place.append(this.grid, this.none);
    for (const event of ["scroll", "resize"]) addEventListener(event, () => this.draw(), { passive: true });
    new ResizeObserver(() => this.layOut()).observe(place);
    this.grid.addEventListener("focus", () => {
      if (this.active === null && this.entries.length) this.choose(this.entries[0].key);
    });
  }

  get isGrouped() {
    return isGrouping(this.group);
  }

  head({ key, label, title }) {
    const cell = element(
      "div",
      { role: "columnheader", class: `cell ${key}`, title },
      element("button", { type: "button", click: () => this.sortBy(key) }, label, element("span", { class: "arrow", "aria-hidden": "true" })),
    );
    this.heads.set(key, cell);
    return cell;
  }

  // Sorts by a column; by the same one the other way round.
  sortBy(key) {
    const falling = this.sort.key === key ? !this.sort.falling : Boolean(column(key).number);
    this.sort = { key, falling };
    this.changed();
  }

  shows(key) {
    return this.visible.has(key);
  }

  // Decides which of the chosen columns have room.
  layOut() {
    const width = this.grid.clientWidth;
    const wanted = chosen(this.columns);
    const shown = narrow.matches ? wanted : fitting(wanted, width || innerWidth);
    this.hidden = wanted.length - shown.length;
    this.visible = new Set(shown.map(({ key }) => key));
    this.grid.style.setProperty("--columns", template(shown));
    for (const [key, cell] of this.heads) cell.hidden = !this.visible.has(key);
    set(this.grid, "aria-colcount", shown.length);
    this.draw();
  }

  // Takes all rows: those that are searched for, in their order and groups. They are drawn when all above them is.
  take(rows) {
    const wanted = this.terms.join(" ");
    if (rows !== this.source || wanted !== this.wanted) {
      [this.source, this.wanted] = [rows, wanted];
      this.rows = rows.filter((row) => row.matches(this.terms));
    }
    sort(this.rows, this.sort);
    this.entries = entries(this.rows, this.group, this.sort, this.folded);
    this.keepChosen();
    for (const [key, head] of this.heads) {
      set(head, "aria-sort", key !== this.sort.key ? "none" : this.sort.falling ? "descending" : "ascending");
    }
    this.none.hidden = this.rows.length > 0 || this.terms.length === 0;
    if (!this.none.hidden) {
      const address = this.terms.some(isAddress);
      say(this.none, address ? "The page has no IP addresses; on the host “veth-exporter find ADDRESS” names the owner of one." : "No pair fits this search.");
    }
    set(this.grid, "role", this.isGrouped ? "treegrid" : "grid");
    set(this.grid, "aria-rowcount", this.entries.length + 1);
  }

  // Puts the visible entries into the document.
  draw() {
    const height = ROW();
    const total = `${this.entries.length * height}px`;
    if (this.body.style.height !== total) this.body.style.height = total;
    const top = -this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.min(this.entries.length, Math.ceil((top + innerHeight) / height) + SPARE);
    const used = { row: 0, group: 0 };
    let active = null;
    for (let index = first; index < last; index += 1) {
      const entry = this.entries[index];
      const kind = entry instanceof Group ? "group" : "row";
      const slots = this.slots[kind];
      if (used[kind] === slots.length) slots.push(kind === "group" ? new GroupSlot(this) : new RowSlot(this));
      const slot = slots[used[kind]];
      used[kind] += 1;
      slot.show(entry, index, height);
      if (entry.key === this.active) active = slot.node.id;
    }
    for (const kind of ["row", "group"]) {
      for (const slot of this.slots[kind].slice(used[kind])) slot.show(null);
    }
    set(this.grid, "aria-activedescendant", active);
  }

  // Keeps the same row chosen when its names, and with them its key, are others than before.
  keepChosen() {
    if (this.active === null) return;
    const now = this.entries.find(({ key }) => key === this.active)
      ?? (this.chosen instanceof Row ? this.rows.find((row) => row.continues(this.chosen)) : undefined);
    if (now) [this.active, this.chosen] = [now.key, now];
  }

  // Chooses an entry, and scrolls so that it can be seen.
  choose(key) {
    this.active = key;
    const index = this.entries.findIndex((entry) => entry.key === key);
    this.chosen = this.entries[index] ?? null;
    if (index >= 0) {
      const height = ROW();
      const top = this.body.getBoundingClientRect().top + index * height;
      const hidden = this.grid.firstChild.getBoundingClientRect().bottom;
      if (top < hidden) scrollBy(0, top - hidden - 4);
      else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 4);
    }
    this.draw();
  }

  // Makes a row visible that a search or a folded group may hide, and chooses it.
  reveal(row) {
    const group = this.entries.find((entry) => entry instanceof Group && entry.rows.includes(row));
    if (group && this.folded.has(group.key)) this.fold(group);
    this.choose(row.key);
  }

  fold(group) {
    if (!this.folded.delete(group.key)) this.folded.add(group.key);
    this.entries = entries(this.rows, this.group, this.sort, this.folded);
    set(this.grid, "aria-rowcount", this.entries.length + 1);
    this.draw();
  }

  key(event) {
    if (event.target === this.grid && this.act(event)) event.preventDefault();
  }

  // Does what a key means for the table; returns false if it means nothing.
  act({ key, ctrlKey, metaKey, altKey }) {
    if (ctrlKey || metaKey || altKey || !this.entries.length) return false;
    const page = Math.max(1, Math.floor(innerHeight / ROW()) - 3);
    const last = this.entries.length - 1;
    const at = this.entries.findIndex((entry) => entry.key === this.active);
    const steps = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, g: 0, End: last, G: last };
    const entry = this.entries[at];
    if (key in steps) {
      this.choose(this.entries[Math.min(last, Math.max(0, steps[key]))].key);
    } else if (entry instanceof Group && (key === "Enter" || key === (this.folded.has(entry.key) ? "ArrowRight" : "ArrowLeft"))) {
      this.fold(entry);
    } else if (key === "Enter" && entry) {
      this.open(entry);
    } else {
      return false;
    }
    return true;
  }
}
