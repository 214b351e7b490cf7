// The rows. Only those are in the document that can be seen: it is the window that scrolls.

import { count, harmless, rate } from "./format.js";
import { element, say } from "./element.js";
import { Sparkline } from "./sparkline.js";

const COLUMNS = [
  { key: "name", label: "Workload", of: (row) => row.name },
  { key: "network", label: "Network", of: (row) => row.network || row.bridge },
  { key: "device", label: "Device", of: (row) => row.device },
  { key: "receive", label: "Receive", of: (row) => row.receive ?? -1, number: true, title: "Into the workload, in the last tick" },
  { key: "transmit", label: "Transmit", of: (row) => row.transmit ?? -1, number: true, title: "Out of the workload, in the last tick" },
  { key: "peak", label: "Peak", of: (row) => row.peak ?? -1, number: true, title: "The highest tick of either direction within --peak.window, a minute by default; not known where several pairs have the same labels" },
  { key: "drops", label: "Drops", of: (row) => row.drops, number: true, title: "Packets that the pair has dropped ever, both directions" },
  { key: "activity", label: "Last minutes", of: (row) => row.activity, number: true, title: "What flows now, both directions" },
];

// Above and below what is seen so many rows are there as well.
const SPARE = 6;

const narrow = matchMedia("(max-width: 760px)");
const ROW = () => (narrow.matches ? 62 : 34);

export class Table {
  rows = [];
  sort = { key: "activity", falling: true };
  terms = [];
  active = null;
  slots = [];

  constructor(place, { open, changed }) {
    this.open = open;
    this.changed = changed;
    this.heads = new Map();
    const head = element("div", { class: "row head", role: "row" }, ...COLUMNS.map((column) => this.head(column)));
    this.body = element("div", { class: "rows", role: "rowgroup" });
    this.grid = element(
      "div",
      { class: "grid", role: "grid", tabindex: "0", "aria-label": "Pairs", "aria-colcount": COLUMNS.length, keydown: (event) => this.key(event) },
      element("div", { class: "heads", role: "rowgroup" }, head),
      this.body,
    );
    this.none = element("p", { class: "none", hidden: true });
    place.append(this.grid, this.none);
    for (const event of ["scroll", "resize"]) addEventListener(event, () => this.draw(), { passive: true });
    this.grid.addEventListener("focus", () => {
      if (this.active === null && this.rows.length) this.choose(this.rows[0].key);
    });
  }

  head(column) {
    const by = () => {
      const falling = this.sort.key === column.key ? !this.sort.falling : Boolean(column.number);
      this.sort = { key: column.key, falling };
      this.changed();
    };
    const cell = element(
      "div",
      { role: "columnheader", class: `cell ${column.key}`, title: column.title },
      element("button", { type: "button", click: by }, column.label, element("span", { class: "arrow", "aria-hidden": "true" })),
    );
    this.heads.set(column.key, cell);
    return cell;
  }

  // Takes the rows that there are: those that are searched for, in their order.
  take(rows) {
    const column = COLUMNS.find(({ key }) => key === this.sort.key);
    const sign = this.sort.falling ? -1 : 1;
    const sorted = rows
      .filter((row) => row.matches(this.terms))
      .map((row) => [column.of(row), row]);
    const order = (one, another) =>
      column.number ? one - another : one === "" || another === "" ? sign * ((one === "") - (another === "")) : NAMES.compare(one, another);
    sorted.sort(([one, a], [another, b]) => sign * order(one, another) || NAMES.compare(a.name, b.name) || NAMES.compare(a.device, b.device));
    this.rows = sorted.map(([, row]) => row);
    for (const [key, head] of this.heads) {
      const sorting = key !== this.sort.key ? "none" : this.sort.falling ? "descending" : "ascending";
      if (head.getAttribute("aria-sort") !== sorting) head.setAttribute("aria-sort", sorting);
    }
    this.none.hidden = this.rows.length > 0 || this.terms.length === 0;
    if (!this.none.hidden) say(this.none, this.terms.some(isAddress) ? "IP addresses are not shown here; on the host “veth-exporter find ADDRESS” says whose one is." : "Nothing is called so.");
    this.grid.setAttribute("aria-rowcount", this.rows.length + 1);
    this.draw();
  }

  // Puts what can be seen into the document.
  draw() {
    const height = ROW();
    const total = `${this.rows.length * height}px`;
    if (this.body.style.height !== total) this.body.style.height = total;
    const top = -this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((top + innerHeight) / height) + SPARE);
    const shown = this.rows.slice(first, Math.max(first, last));
    while (this.slots.length < shown.length) this.slots.push(new Slot(this));
    this.slots.forEach((slot, index) => slot.show(shown[index] ?? null, first + index, height));
    const slot = this.slots.find(({ row }) => row !== null && row.key === this.active);
    if (slot) this.grid.setAttribute("aria-activedescendant", slot.node.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  choose(key) {
    this.active = key;
    const index = this.rows.findIndex((row) => row.key === key);
    if (index >= 0) {
      const height = ROW();
      const top = this.body.getBoundingClientRect().top + index * height;
      const hidden = this.grid.firstChild.getBoundingClientRect().bottom;
      if (top < hidden) scrollBy(0, top - hidden - 4);
      else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 4);
    }
    this.draw();
  }

  key(event) {
    if (event.target !== this.grid || event.ctrlKey || event.metaKey || event.altKey || !this.rows.length) return;
    const page = Math.max(1, Math.floor(innerHeight / ROW()) - 3);
    const last = this.rows.length - 1;
    const at = this.rows.findIndex((row) => row.key === this.active);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last };
    if (event.key in steps) {
      this.choose(this.rows[Math.min(last, Math.max(0, steps[event.key]))].key);
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      this.open(this.rows[at]);
    } else {
      return;
    }
    event.preventDefault();
  }
}

// Like an IP address; a MAC address has six parts and no empty one.
function isAddress(term) {
  return /^\d+\.\d+\.\d+(\.\d+)?(\/\d+)?$/.test(term) || (/^[0-9a-f:]+(\/\d+)?$/.test(term) && term.includes("::"));
}

const NAMES = new Intl.Collator(undefined, { numeric: true });

// A row's place in the document, which shows one row and then another.
class Slot {
  static made = 0;

  constructor(table) {
    this.table = table;
    this.row = null;
    this.cells = new Map(COLUMNS.map(({ key }) => [key, element("div", { class: `cell ${key}`, role: "gridcell" })]));
    this.name = element("span", { class: "title" });
    this.runtime = element("span", { class: "runtime" });
    this.cells.get("name").append(this.name, this.runtime);
    this.sparkline = new Sparkline(150, 26);
    this.cells.get("activity").append(this.sparkline.node);
    Slot.made += 1;
    const chosen = () => {
      table.choose(this.row.key);
      table.open(this.row);
    };
    this.node = element("div", { class: "row", role: "row", id: `row-${Slot.made}`, click: chosen }, ...this.cells.values());
    table.body.append(this.node);
  }

  show(row, index, height) {
    this.row = row;
    if (this.node.hidden !== (row === null)) this.node.hidden = row === null;
    if (row === null) return;
    this.node.style.transform = `translateY(${index * height}px)`;
    this.node.setAttribute("aria-rowindex", index + 2);
    this.node.setAttribute("aria-selected", row.key === this.table.active);
    this.node.classList.toggle("odd", index % 2 === 1);
    this.node.classList.toggle("quiet", row.activity === 0);
    say(this.name, row.name);
    this.cells.get("name").title = harmless(row.name);
    say(this.runtime, row.runtime);
    this.text("network", row.network || row.bridge || "–");
    this.text("device", row.device);
    this.text("receive", rate(row.receive));
    this.text("transmit", rate(row.transmit));
    this.text("peak", rate(row.peak));
    this.text("drops", row.drops === 0 ? "0" : count(row.drops));
    this.cells.get("drops").classList.toggle("some", row.drops > 0);
    this.sparkline.draw(row.history());
  }

  text(key, text) {
    const cell = this.cells.get(key);
    say(cell, text);
    if (key === "network" || key === "device") cell.title = harmless(text);
  }
}
