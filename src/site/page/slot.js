// A place of the document's table, which shows one row, or the header of one group, and then another.

import { column, COLUMNS } from "./columns.js";
import { badge, show as showBadge, symbol } from "./badge.js";
import { element, say, set } from "./element.js";
import { each, harmless, packets, plural, rate, title } from "./format.js";
import { hiddenMatches, highlight, marked } from "./search.js";
import { Sparkline } from "./sparkline.js";

let made = 0;

function cells(role) {
  return new Map(COLUMNS.map(({ key }) => [key, element("div", { class: `cell ${key}`, role })]));
}

class Slot {
  entry = null;

  constructor(table, kind) {
    this.table = table;
    this.cells = cells("gridcell");
    made += 1;
    this.node = element("div", { class: `row ${kind}`, role: "row", id: `row-${made}` }, ...this.cells.values());
    table.body.append(this.node);
  }

  // Shows an entry at this place among all; null: nothing.
  show(entry, index, height) {
    this.entry = entry;
    if (this.node.hidden !== (entry === null)) this.node.hidden = entry === null;
    if (entry === null) {
      set(this.node, "aria-selected", null);
      return;
    }
    this.node.style.transform = `translateY(${index * height}px)`;
    set(this.node, "aria-rowindex", index + 2);
    set(this.node, "aria-selected", entry.key === this.table.active);
    for (const [key, cell] of this.cells) {
      const hidden = !this.table.shows(key);
      if (cell.hidden !== hidden) cell.hidden = hidden;
      if (!hidden) this.cell(key, cell, entry);
    }
  }
}

export class RowSlot extends Slot {
  constructor(table) {
    super(table, "pair");
    this.mark = badge();
    this.name = element("span", { class: "title" });
    this.with = element("span", { class: "with" });
    this.runtime = element("span", { class: "runtime" });
    this.cells.get("name").append(this.mark, this.name, this.with, this.runtime);
    this.sparkline = new Sparkline();
    this.cells.get("activity").append(this.sparkline.node);
    this.node.addEventListener("click", () => {
      table.choose(this.entry.key);
      table.open(this.entry);
    });
  }

  show(row, index, height) {
    super.show(row, index, height);
    if (row === null) return;
    this.node.classList.toggle("odd", index % 2 === 1);
    this.node.classList.toggle("quiet", row.activity === 0 && row.severity === 0);
    set(this.node, "data-severity", row.problems[0]?.severity ?? null);
    set(this.node, "aria-level", this.table.isGrouped ? 2 : null);
  }

  cell(key, cell, row) {
    const { terms } = this.table;
    if (key === "name") return this.names(cell, row, terms);
    if (key === "activity") return this.sparkline.draw(row.history());
    if (key === "network" || key === "device") {
      const text = key === "device" ? row.device : row.network || row.bridge || "–";
      highlight(cell, text, terms);
      if (cell.title !== harmless(text)) cell.title = harmless(text);
      return undefined;
    }
    say(cell, column(key).text(row));
    if (key === "drops") cell.classList.toggle("some", row.drops > 0);
    if (key === "state") cell.classList.toggle("some", row.state === "down");
    return undefined;
  }

  names(cell, row, terms) {
    const [worst] = row.problems;
    showBadge(this.mark, worst, row.problems.length - 1);
    highlight(this.name, row.name, terms);
    highlight(this.runtime, row.runtime, terms);
    const names = row.members.map((member) => title(member)).join(", ");
    const wanted = terms.join(" ");
    if (this.said?.row !== row || this.said.wanted !== wanted) {
      this.said = { row, wanted };
      const hidden = hiddenMatches(row, terms).filter(({ label }) => label !== "member");
      const parts = names ? ["+ ", ...marked(names, terms)] : [];
      for (const { label, text } of hidden) parts.push(element("span", { class: "why" }, ` ${label} `, ...marked(text, terms)));
      this.with.replaceChildren(...parts);
    }
    const all = [row.name, names && `with ${names}`, ...row.problems.map(({ text }) => text)].filter(Boolean).join("\n");
    if (cell.title !== harmless(all)) cell.title = harmless(all);
  }
}

// The header of a group: its name, how many rows it has, and their sums.
export class GroupSlot extends Slot {
  constructor(table) {
    super(table, "group");
    this.name = element("span", { class: "group-name" });
    this.count = element("span", { class: "runtime" });
    this.mark = element("span", { class: "badge" });
    this.cells.get("name").append(element("span", { class: "fold", "aria-hidden": "true" }), this.name, this.count, this.mark);
    this.node.setAttribute("aria-level", "1");
    this.node.addEventListener("click", () => {
      table.choose(this.entry.key);
      table.fold(this.entry);
    });
  }

  show(group, index, height) {
    super.show(group, index, height);
    if (group !== null) set(this.node, "aria-expanded", !this.table.folded.has(group.key));
  }

  cell(key, cell, group) {
    if (key === "name") {
      say(this.name, group.name);
      say(this.count, plural(group.rows.length, "pair"));
      const severity = ["notice", "warning", "critical"][group.severity - 1];
      say(this.mark, severity ? `${symbol(severity)} ${group.problems}` : "");
      this.mark.hidden = !severity;
      if (severity) this.mark.dataset.severity = severity;
      if (cell.title !== harmless(group.name)) cell.title = harmless(group.name);
    } else if (key === "receive" || key === "transmit") {
      say(cell, rate(group.sums[key]));
    } else if (key === "packets") {
      say(cell, packets(group.sums.packets));
    } else if (key === "drops") {
      say(cell, each(group.sums.drops));
    }
  }
}
