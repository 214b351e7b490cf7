// The history of one row with its axes: the value at a time is shown under the pointer, and by the arrow keys.

import { MARKS } from "./events.js";
import { drawing, element, say, set } from "./element.js";
import { clock, plural, rate, span } from "./format.js";
import { LENGTH } from "./history.js";

const WIDTH = 360;
const HEIGHT = 96;

// Below this many bytes a second the curve does not fill the height: a trickle stays small.
const LEAST = 1000;

const HALF_MINUTE = 30;

export class Chart {
  span = "ticks";
  // The place that is read, counted back from the newest value; null: none.
  at = null;
  data = null;

  constructor() {
    this.area = drawing("path", { class: "receive-area" });
    this.into = drawing("path", { class: "receive-line" });
    this.out = drawing("path", { class: "transmit-line" });
    this.middle = drawing("path", { class: "axis", d: `M0 ${HEIGHT / 2}H${WIDTH}` });
    this.cursor = drawing("path", { class: "cursor" });
    this.marks = drawing("g", { class: "marks" });
    const svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.middle, this.area, this.into, this.out, this.cursor, this.marks);
    this.symbols = element("div", { class: "symbols", "aria-hidden": "true" });
    this.plot = element("div", {
      class: "plot", role: "slider", tabindex: "0", "aria-label": "History of this pair: the arrow keys read it", "aria-valuemin": "0", "aria-valuemax": String(LENGTH - 1),
      pointermove: (event) => this.point(event), pointerleave: () => this.read(null), keydown: (event) => this.key(event), blur: () => this.read(null),
    }, svg, this.symbols);
    [this.top, this.half] = [element("span", { class: "top" }), element("span", { class: "half" })];
    this.times = element("div", { class: "times", "aria-hidden": "true" });
    this.reading = element("p", { class: "reading" });
    this.buttons = new Map(["ticks", "halves"].map((name) => [name, element("button", { type: "button", click: () => this.choose(name) })]));
    this.node = element("figure", { class: "history", "aria-label": "History" },
      element("div", { class: "ranges", role: "group", "aria-label": "Range" }, ...this.buttons.values()),
      element("div", { class: "frame" }, this.plot, this.top, this.half), this.times, this.reading);
  }

  choose(name) {
    this.span = name;
    this.at = null;
    this.draw();
  }

  // Shows a row's history, with those of the events that are about the row.
  show(row, { time, interval, events }) {
    this.data = { row, time, interval, events };
    this.draw();
  }

  get step() {
    return this.span === "ticks" ? this.data.interval : HALF_MINUTE;
  }

  // The time of the newest value: a half minute ends at a multiple of 30 s.
  get end() {
    const { time } = this.data;
    return this.span === "ticks" ? time : Math.floor(time / HALF_MINUTE) * HALF_MINUTE;
  }

  draw() {
    const { row, interval } = this.data;
    for (const [name, button] of this.buttons) {
      say(button, span(LENGTH * (name === "ticks" ? interval : HALF_MINUTE)));
      set(button, "aria-pressed", name === this.span);
    }
    [this.receive, this.transmit] = row.history(this.span);
    const top = this.receive.reduce((most, value) => Math.max(most, value), this.transmit.reduce((most, value) => Math.max(most, value), LEAST));
    const into = line(this.receive, top);
    set(this.area, "d", into ? `${into}V${HEIGHT}H${place(LENGTH - this.receive.length)}Z` : "");
    set(this.into, "d", into);
    set(this.out, "d", line(this.transmit, top));
    say(this.top, rate(top));
    say(this.half, rate(top / 2));
    const times = [LENGTH - 1, (LENGTH - 1) / 2, 0].map((back) => clock(this.end - back * this.step));
    if (this.times.textContent !== times.join("")) this.times.replaceChildren(...times.map((text) => element("span", {}, text)));
    this.events();
    this.read(this.at);
  }

  // Marks the events of the range.
  events() {
    const from = this.end - (LENGTH - 1) * this.step;
    this.shown = this.data.events.filter(({ time }) => time >= from && time <= this.end + this.step);
    const said = JSON.stringify(this.shown.map(({ id, time }) => [id, Math.round((time - from) / this.step)]));
    if (said === this.said) return;
    this.said = said;
    const x = ({ time }) => Math.min(WIDTH, ((time - from) / (this.end - from)) * WIDTH);
    this.marks.replaceChildren(...this.shown.map((event) => drawing("path", { d: `M${x(event).toFixed(1)} 0V${HEIGHT}` })));
    this.symbols.replaceChildren(...this.shown.map((event) => {
      const symbol = element("span", { title: `${clock(event.time)} ${event.text || event.kind}` }, MARKS[event.kind] ?? "·");
      symbol.style.left = `${((x(event) / WIDTH) * 100).toFixed(1)}%`;
      return symbol;
    }));
  }

  point({ clientX }) {
    const { left, width } = this.plot.getBoundingClientRect();
    this.read(Math.round((1 - (clientX - left) / width) * (LENGTH - 1)));
  }

  key(event) {
    const at = this.at ?? 0;
    const steps = { ArrowLeft: at + 1, ArrowRight: at - 1, PageUp: at + 10, PageDown: at - 10, Home: LENGTH - 1, End: 0 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    this.read(steps[event.key]);
  }

  // Shows the values of a place; null shows what the curve is of.
  read(back) {
    const last = Math.max(0, this.receive.length - 1);
    this.at = back === null ? null : Math.min(last, Math.max(0, back));
    if (this.at === null || !this.receive.length) {
      set(this.cursor, "d", "");
      const events = this.shown.length ? ` ${plural(this.shown.length, "event")} marked.` : "";
      say(this.reading, `${this.receive.length ? "" : "No history yet. "}${this.span === "ticks" ? `A value each ${this.step < 1 ? `${Math.round(this.step * 1000)} ms` : span(this.step)}` : "Means of half a minute"}.${events}`);
      set(this.plot, "aria-valuenow", LENGTH - 1);
      set(this.plot, "aria-valuetext", this.reading.textContent);
      return;
    }
    const index = last - this.at;
    const time = this.end - this.at * this.step;
    const near = this.shown.filter((event) => Math.abs(event.time - time) <= this.step * 1.5).map(({ text, kind }) => text || kind);
    set(this.cursor, "d", `M${place(LENGTH - 1 - this.at)} 0V${HEIGHT}`);
    const text = [`${clock(time)}: ↓ ${rate(this.receive[index])}, ↑ ${rate(this.transmit[index])}`, ...near].join("; ");
    say(this.reading, text);
    set(this.plot, "aria-valuenow", LENGTH - 1 - this.at);
    set(this.plot, "aria-valuetext", text.replace("↓", "receive").replace("↑", "transmit"));
  }
}

function place(index) {
  return ((index * WIDTH) / (LENGTH - 1)).toFixed(1);
}

function line(values, top) {
  const from = LENGTH - values.length;
  const points = values.map((value, index) => `${place(from + index)} ${(1 + (HEIGHT - 2) * (1 - value / top)).toFixed(1)}`);
  return points.length < 2 ? "" : `M${points.join("L")}`;
}
