// The strip of problems over the table. Each entry leads to the row, the workload or the notice that it is about.

import { symbol, word } from "./badge.js";
import { by, element } from "./element.js";
import { plural, span } from "./format.js";

// The strip shows this many problems; the others are folded.
const SHOWN = 4;

const RANK = { critical: 0, warning: 1 };

// Returns the number of problems that are more than a notice: the page's title has it.
export function urgent(problems) {
  return problems.filter(({ severity }) => severity in RANK).length;
}

export class Problems {
  shown = null;
  isOpen = false;

  // `lead` follows a problem and returns nothing; `leads` says whether a problem leads anywhere.
  constructor(place, { lead, leads }) {
    this.place = place;
    this.lead = lead;
    this.leads = leads;
  }

  show({ problems, time, rows }) {
    // Unless a problem or the rows change, the ages alone do, by the minute.
    const age = Math.floor(time / 30);
    if (this.shown?.problems === problems && this.shown.rows === rows && this.shown.age === age) return;
    this.shown = { problems, rows, age };
    this.place.hidden = problems.length === 0;
    const held = this.place.contains(document.activeElement) ? document.activeElement.dataset.problem : null;
    const lines = problems.map((problem) => this.line(problem, time));
    const rest = lines.slice(SHOWN);
    const folded = rest.length
      ? element("details", { open: this.isOpen, toggle: ({ target }) => { this.isOpen = target.open; } }, element("summary", {}, `${plural(rest.length, "more problem")}`), element("ul", {}, ...rest))
      : null;
    by("problems-list").replaceChildren(element("ul", {}, ...lines.slice(0, SHOWN)), ...(folded ? [folded] : []));
    by("problems-title").textContent = heading(problems);
    this.place.dataset.severity = problems[0]?.severity ?? "notice";
    if (held) [...this.place.querySelectorAll("button")].find(({ dataset }) => dataset.problem === held)?.focus({ preventScroll: true });
  }

  line(problem, time) {
    const { severity, kind, text, remedy, since, subject = {} } = problem;
    const mark = element("span", { class: "badge", "data-severity": severity }, `${symbol(severity)} ${word(kind)}`);
    const age = since ? element("span", { class: "since" }, `for ${span(time - since)}`) : null;
    const leads = this.leads(problem);
    const name = [subject.runtime, subject.workload].filter(Boolean).join("/") || subject.device || subject.collector || "";
    const what = element("span", { class: "what" }, text);
    const head = leads
      ? element("button", { type: "button", class: "lead", "data-problem": `${kind} ${name} ${subject.device ?? ""} ${subject.interface ?? ""}`, click: () => this.lead(problem) }, mark, what, age)
      : element("p", { class: "lead" }, mark, what, age);
    return element("li", { "data-severity": severity, class: problem.pairs?.length ? "has-row" : null }, head, remedy ? element("p", { class: "remedy" }, remedy) : null);
  }
}

function heading(problems) {
  const count = urgent(problems);
  const notices = problems.length - count;
  return [count && plural(count, "problem"), notices && plural(notices, "notice")].filter(Boolean).join(", ");
}
