// The details of one row: problems, history, numbers, the workload, both ends, commands, queries.

import { addressesOf } from "./addresses.js";
import { symbol, word } from "./badge.js";
import { Chart } from "./chart.js";
import { byHand } from "./commands.js";
import { copyButton, element, say } from "./element.js";
import { Explain } from "./explain.js";
import { end, members, section, workload } from "./facts.js";
import { clock, each, packets, rate, span } from "./format.js";
import { prometheus } from "./queries.js";
import { Totals, totalTexts } from "./totals.js";

export class Detail {
  row = null;
  gone = false;

  constructor(place, closed) {
    this.place = place;
    this.closed = closed;
    this.explain = new Explain();
    this.totals = new Totals((answer) => this.showTotals(answer));
  }

  get isOpen() {
    return this.row !== null;
  }

  // Opens the details of a row; `focus` false leaves the focus where it is.
  open(row, model, focus = true) {
    const other = this.row?.key !== row.key;
    this.row = row;
    this.model = model;
    this.gone = false;
    if (focus) this.before ??= document.activeElement;
    if (other) this.chart = new Chart();
    this.make();
    this.place.hidden = false;
    document.body.classList.add("has-detail");
    if (focus) this.title.focus({ preventScroll: true });
    this.place.scrollTop = 0;
  }

  close() {
    if (!this.isOpen) return;
    this.row = null;
    this.totals.follow(null);
    this.place.hidden = true;
    this.place.replaceChildren();
    document.body.classList.remove("has-detail");
    if (this.before?.isConnected) this.before.focus({ preventScroll: true });
    this.before = null;
    this.closed();
  }

  // Shows the row as it is now. The row may have gone, and its workload may have another pair since.
  update(model) {
    if (!this.isOpen) return;
    this.model = model;
    const { rows, time } = model;
    const now = rows.find(({ key }) => key === this.row.key)
      ?? rows.find((row) => row.continues(this.row));
    if (!now) {
      if (!this.gone) say(this.state, `Gone since ${clock(time)}`);
      this.gone = true;
      return;
    }
    const same = now.pair === this.row.pair && !this.gone;
    this.row = now;
    this.gone = false;
    if (same) this.numbers();
    else this.make();
  }

  make() {
    const { row, model } = this;
    // The focus stays on the same button, although the button is made anew.
    const held = this.place.contains(document.activeElement) ? (document.activeElement.getAttribute("aria-label") ?? "") : null;
    this.title = element("h2", { id: "detail-title", tabindex: "-1" }, row.name);
    this.state = element("p", { class: "gone", role: "status" });
    this.problems = element("ul", { class: "problems" });
    this.said = "";
    this.values = new Map();
    this.since = element("p", { class: "muted note" });
    this.addresses = element("dl", { class: "facts" });
    const close = element("button", { type: "button", class: "close", "aria-label": "Close", click: () => this.close() }, "✕");
    const head = [row.runtime, row.network && `network ${row.network}`, row.end.parent && `inside ${row.end.parent}`];
    const other = row.peer.role === "port" ? "The port" : "The other end";
    this.place.replaceChildren(
      element("div", { class: "detail-head" }, element("div", {}, this.title, element("p", { class: "muted" }, head.filter(Boolean).join(" · "))), close),
      this.state,
      this.problems,
      this.chart.node,
      element("table", { class: "numbers" },
        element("thead", {}, element("tr", {}, element("td"), ...["Receive", "Transmit"].map((name) => element("th", { scope: "col" }, element("span", { class: `dot ${name.toLowerCase()}` }), name)))),
        element("tbody", {}, this.line("Now", "now"), this.line("", "packets"), this.line("Peak", "peak"), this.line("Total", "total"), this.line("", "total-packets"), this.line("Today", "today"), this.line("This month", "month"), this.line("Drops now", "drops"), this.line("Dropped ever", "dropped"))),
      this.since,
      ...section("Workload", workload(row.workload, model)),
      ...members(row.members),
      ...section("Its end", end(row.end)),
      this.addresses,
      ...section(other, [...(row.peer.workload ? workload(row.peer.workload, model) : []), ...end(row.peer)]),
      element("h3", {}, "Can its packets pass?"),
      this.explain.node,
      ...byHand(row),
      ...prometheus(row),
    );
    this.numbers();
    // Until the API answers.
    for (const key of ["total", "total-packets", "today", "month"]) this.set(key, ["–", "–"]);
    this.totals.follow(row);
    this.showAddresses(row);
    if (this.answer?.row === row.key) this.showTotals(this.answer.ends);
    if (held !== null) ([...this.place.querySelectorAll("button, .plot")].find((node) => node.getAttribute("aria-label") === held) ?? this.title).focus({ preventScroll: true });
  }

  line(label, key) {
    const cells = [element("td"), element("td")];
    this.values.set(key, cells);
    return element("tr", {}, element("th", { scope: "row" }, label), ...cells);
  }

  set(key, values) {
    values.forEach((value, index) => say(this.values.get(key)[index], value));
  }

  numbers() {
    const { row, model } = this;
    const { rates, peaks, drops, dropped } = row.pair;
    this.explain.show(row, model);
    this.set("now", row.numbers(rates).map(rate));
    this.set("packets", row.numbers(rates, 2).map(packets));
    this.set("peak", row.numbers(peaks).map(rate));
    this.set("drops", row.numbers(drops).map(each));
    this.set("dropped", row.numbers(dropped).map((count) => `${count.toLocaleString("en")} packets`));
    this.chart.show(row, { ...model, events: model.events.filter((event) => isAbout(event, row)) });
    say(this.state, row.pair.state === "peer_hidden" ? "The other end is in a namespace that the exporter may not read." : "");
    this.showProblems();
  }

  showProblems() {
    const { row, model: { time } } = this;
    const said = JSON.stringify([row.problems, Math.floor(time / 30)]);
    if (said === this.said) return;
    this.said = said;
    const line = ({ severity, kind, text, since, remedy }) => element("li", { "data-severity": severity },
      element("p", {}, element("span", { class: "badge", "data-severity": severity }, `${symbol(severity)} ${word(kind)}`), " ", text, since ? element("span", { class: "since" }, ` for ${span(time - since)}`) : null),
      remedy ? element("p", { class: "remedy" }, remedy) : null);
    this.problems.replaceChildren(...row.problems.map(line));
  }

  // Shows the IP addresses of the row's own end, as they are when the details are made.
  async showAddresses(row) {
    const place = this.addresses;
    const addresses = await addressesOf(row.end);
    // The details may be those of another row by now.
    if (!addresses || place !== this.addresses) return;
    const lines = addresses.map((address) => [element("dt", {}, "IP address"), element("dd", {}, element("span", { class: "value" }, address), copyButton("the IP address", address.split("/")[0]))]);
    place.replaceChildren(...lines.flat());
  }

  // Shows what the API answers: totals, and of each end what the stream may not have.
  showTotals(ends) {
    if (!this.isOpen) return;
    this.answer = { row: this.row.key, ends };
    const { total, packets: counted, today, month, since } = totalTexts(ends, this.model.time);
    this.set("total", total);
    this.set("total-packets", counted);
    this.set("today", today);
    this.set("month", month);
    say(this.since, since);
  }
}

// Whether an event is about a row: its pair, or an earlier pair of the same workload's interface.
function isAbout(event, row) {
  if (event.pair !== null && event.pair === row.pair.id) return true;
  if (!event.workload) return Boolean(event.device) && event.device === row.device;
  return event.runtime === row.runtime && event.workload === row.name && (!event.interface || event.interface === row.interface);
}
