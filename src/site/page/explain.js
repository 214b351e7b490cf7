// What stops the packets of a row, or between two rows. The API reads it when a person asks.

import { symbol } from "./badge.js";
import { element, say } from "./element.js";
import { plural } from "./format.js";
import { copyLines } from "./queries.js";

const API = new URL("../api/v1/explain", import.meta.url);

// Each grade as a word, and with the color of a severity.
const GRADES = { reason: ["reason", "critical"], symptom: ["symptom", "warning"], possibility: ["possible", "notice"] };

export class Explain {
  // The key and the name of the row that a person has chosen as the first of two.
  first = null;
  asked = 0;

  constructor() {
    this.alone = this.button("Explain", () => this.ask(this.row));
    this.begin = this.button("Explain from here", () => this.choose());
    this.both = this.button("Explain from", () => this.ask(this.model.rows.find(({ key }) => key === this.first.key), this.row));
    this.status = element("p", { role: "status", class: "note" });
    this.place = element("div", { class: "explanation" });
    this.node = element("div", { class: "explain" }, element("div", { class: "asks" }, this.alone, this.begin, this.both), this.status, this.place);
  }

  button(text, click) {
    return element("button", { type: "button", "aria-label": text, click }, text);
  }

  // Takes the row of the details; the explanation of another row goes.
  show(row, model) {
    const other = this.row?.key !== row.key;
    [this.row, this.model] = [row, model];
    if (other) this.clear();
    this.offer();
  }

  clear() {
    this.asked += 1;
    say(this.status, "");
    this.place.replaceChildren();
  }

  // Chooses the row as the first of two, or no longer.
  choose() {
    this.clear();
    this.first = this.isFirst ? null : { key: this.row.key, name: this.row.name };
    if (this.first) say(this.status, "Now open another row: its details explain the way from here to there.");
    this.offer();
  }

  get isFirst() {
    return this.first?.key === this.row.key;
  }

  offer() {
    const text = `Explain from ${this.first?.name ?? ""}`;
    this.begin.setAttribute("aria-pressed", String(this.isFirst));
    this.both.hidden = !this.first || this.isFirst;
    say(this.both, text);
    this.both.setAttribute("aria-label", this.both.textContent);
  }

  // Asks the API for the way from a row, to its gateway or to another row.
  async ask(from, to = null) {
    this.clear();
    if (!from) return say(this.status, `${this.first.name} has gone.`);
    const asked = this.asked;
    say(this.status, "Reading …");
    const answer = await read(from.end, to?.end);
    // The details may be those of another row by now, or another question was asked.
    if (asked !== this.asked) return;
    if (answer.error) return say(this.status, answer.error);
    say(this.status, summary(answer.explanations));
    this.place.replaceChildren(...answer.explanations.flatMap(explanation));
  }
}

const link = ({ nsid, ifindex }) => `@${nsid ?? "host"}/${ifindex}`;

async function read(from, to) {
  const address = new URL(API);
  address.searchParams.set("from", link(from));
  if (to) address.searchParams.set("to", link(to));
  try {
    const response = await fetch(address, { cache: "no-store" });
    const answer = await response.json();
    return response.ok ? answer : { error: String(answer.error) };
  } catch {
    return { error: "The exporter gave no answer." };
  }
}

function summary(explanations) {
  const found = explanations.flatMap(({ findings }) => findings).filter(({ grade }) => grade !== "possibility").length;
  if (found) return `${plural(found, "finding")}, the first cause first.`;
  const unread = explanations.some((of) => of.unread.length > 0);
  return unread ? "Nothing was found in what could be read." : "Nothing was found that stops a packet.";
}

function explanation({ from, to, way, findings, unread, not_checked: unchecked }) {
  return [
    element("p", { class: "value" }, to ? `${from} to ${to}` : from),
    way.length > 1 ? element("p", { class: "muted note" }, way.join(" > ")) : null,
    findings.length ? element("ul", { class: "problems" }, ...findings.map(finding)) : null,
    ...unread.map(({ what, reason }) => element("p", { class: "muted note" }, `Not read: ${what}: ${reason}`)),
    unchecked.length ? element("p", { class: "muted note" }, `Not checked: ${unchecked.join(", ")}`) : null,
  ].filter(Boolean);
}

function finding({ grade, text, by_hand: byHand, remedy }) {
  const [word, severity] = GRADES[grade] ?? GRADES.possibility;
  const commands = [byHand && ["By hand", byHand], ...remedy.map((line) => ["Remedy", line])].filter(Boolean);
  return element("li", { "data-severity": severity },
    element("p", {}, element("span", { class: "badge", "data-severity": severity }, `${symbol(severity)} ${word}`), " ", text),
    ...copyLines(commands));
}
