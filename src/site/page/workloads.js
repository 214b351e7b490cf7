// The workloads that have no veth of their own, with the reason: they share a namespace, use the host's network, have stopped.

import { by, element, say } from "./element.js";
import { harmless, plural, shortId, span, title } from "./format.js";
import { fits, marked } from "./search.js";

const STATES = { running: "▶", restarting: "↻", stopped: "■", created: "○", paused: "‖" };

export class Workloads {
  shown = null;
  found = [];

  constructor(place, { owner }) {
    this.place = place;
    this.owner = owner;
    this.list = by("workloads-list");
    place.addEventListener("toggle", () => this.again?.());
  }

  // Shows the workloads that fit the search; with a search that fits no pair the list opens.
  show({ workloads, time }, terms, noPair) {
    this.again = () => this.show({ workloads, time }, terms, false);
    const [wanted, age] = [terms.join(" "), Math.floor(time / 30)];
    const { shown } = this;
    if (shown?.workloads === workloads && shown.wanted === wanted && shown.age === age && shown.open === this.place.open && shown.noPair === noPair) return;
    this.found = workloads.filter((workload) => fits(words(workload), terms));
    this.place.hidden = workloads.length === 0;
    say(by("workloads-count"), terms.length ? `${this.found.length} of ${workloads.length} fit the search` : String(workloads.length));
    if (noPair && terms.length && this.found.length) this.place.open = true;
    this.shown = { workloads, wanted, age, noPair, open: this.place.open };
    if (!this.place.open) return;
    const held = this.list.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.list.replaceChildren(...this.found.map((workload) => this.line(workload, terms, time)));
    if (held) [...this.list.querySelectorAll("button")].find((button) => button.textContent === held)?.focus({ preventScroll: true });
  }

  line(workload, terms, time) {
    const { runtime, state, text, since, restarts, owner, image, id } = workload;
    const age = since && state !== "running" ? ` for ${span(time - since)}` : "";
    const hidden = terms.flatMap((term) => [["image", image], ["id", shortId(id ?? "")], ["Compose project", workload.compose_project]]
      .filter(([, value]) => value && value.toLowerCase().includes(term) && !`${title(workload)} ${runtime} ${text}`.toLowerCase().includes(term)).slice(0, 1));
    return element("li", { "data-state": state, "data-workload": `${runtime}/${title(workload)}`, tabindex: "-1" },
      element("span", { class: "title" }, element("span", { class: "state-mark", "aria-hidden": "true" }, STATES[state] ?? "·"), " ", ...marked(title(workload), terms)),
      element("span", { class: "runtime" }, ...marked(runtime ?? "", terms), ...hidden.flatMap(([label, value]) => [` · ${label} `, ...marked(value, terms)])),
      element("span", { class: "reason", title: harmless(`${state ?? ""}${age}`) }, ...marked(text ?? state ?? "", terms)),
      restarts ? element("span", { class: "restarts" }, plural(restarts, "restart")) : null,
      owner ? element("button", { type: "button", click: () => this.owner(owner) }, `Show ${owner.slice(owner.indexOf("/") + 1)}`) : null);
  }

  // Opens the list at a workload; returns false if it is not in it.
  lead(runtime, name) {
    this.place.open = true;
    this.again?.();
    const line = [...this.list.children].find(({ dataset }) => dataset.workload === harmless(`${runtime}/${name}`));
    line?.scrollIntoView({ block: "center" });
    line?.focus({ preventScroll: true });
    return line !== undefined;
  }
}

function words(workload) {
  const { runtime, text, state, image, id, compose_project: project, compose_service: service, owner } = workload;
  return [title(workload), runtime, text, state, image, id, shortId(id ?? ""), project, service, owner].join("\n").toLowerCase();
}
