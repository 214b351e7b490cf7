// The list of the last events: pairs and workloads that came, went, changed.

import { by, element, say } from "./element.js";
import { moment } from "./format.js";
import { fits, marked } from "./search.js";

export const MARKS = { appeared: "+", recreated: "⟳", gone: "−", renamed: "≈", down: "▼", up: "▲", restarted: "↻", stopped: "■" };

export class Events {
  shown = null;

  constructor(place, { open }) {
    this.place = place;
    this.open = open;
    this.list = by("events-list");
    place.addEventListener("toggle", () => this.again?.());
  }

  show({ events, rows, time }, terms) {
    this.again = () => this.show({ events, rows, time }, terms);
    const wanted = terms.join(" ");
    const { shown } = this;
    if (shown?.events === events && shown.rows === rows && shown.wanted === wanted && shown.open === this.place.open) return;
    this.shown = { events, rows, wanted, open: this.place.open };
    const found = events.filter((event) => fits(words(event), terms));
    this.place.hidden = events.length === 0;
    say(by("events-count"), terms.length ? `${found.length} of ${events.length} fit the search` : String(events.length));
    if (!this.place.open) return;
    const there = new Map(rows.map((row) => [row.pair.id, row]));
    this.list.replaceChildren(...found.toReversed().map((event) => this.line(event, there.get(event.pair) ?? null, terms, time)));
  }

  line(event, row, terms, time) {
    const { kind, text, device, interface: inside, network } = event;
    const name = eventName(event);
    const place = [device, inside, network].filter(Boolean).join(" · ");
    const subject = row === null
      ? element("span", { class: "title" }, ...marked(name, terms))
      : element("button", { type: "button", class: "title", click: () => this.open(row) }, ...marked(name, terms));
    return element("li", { "data-kind": kind },
      element("time", { datetime: new Date(event.time * 1000).toISOString() }, moment(event.time, time)),
      element("span", { class: "event-mark", "aria-hidden": "true" }, MARKS[kind] ?? "·"),
      subject,
      element("span", { class: "reason" }, ...marked(text || kind, terms)),
      place ? element("span", { class: "runtime" }, ...marked(place, terms)) : null);
  }
}

function eventName({ runtime, workload, device }) {
  return workload ? `${runtime ? `${runtime}/` : ""}${workload}` : device || "a pair";
}

function words(event) {
  const { kind, text, device, interface: inside, network } = event;
  return [kind, eventName(event), text, device, inside, network].join("\n").toLowerCase();
}
