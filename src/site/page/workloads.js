// The workloads that have no veth of their own, with the reason: they share a namespace, use the host's network, have stopped.

import { by, element, say } from "./element.js";
import { restarted } from "./facts.js";
import { harmless, shortId, span, title } from "./format.js";
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
  show(model, terms, noPair) {
    const { workloads, restarts, time } = model;
    this.again = () => this.show(model, terms, false);
    const [wanted, age] = [terms.join(" "), Math.floor(time / 30)];
    const { shown } = this;
    if (shown?.workloads === workloads && shown.restarts === restarts && shown.wanted === wanted && shown.age === age && shown.open === this.place.open && shown.noPair === noPair) return;
    this.found = workloads.filter((workload) => fits(words(workload), terms));
    this.place.hidden = workloads.length === 0;
    say(by("workloads-count"), terms.length ? `${this.found.length} of ${workloads.length} fit the search` : String(workloads.length));
    if (noPair && terms.length && this.found.length) this.place.open = true;
    this.shown = { workloads, restarts, wanted, age, noPair, open: this.place.open };
    if (!this.place.open) return;
    const held = this.list.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.list.replaceChildren(...this.found.map((workload) => this.line(workload, terms, model)));
    if (held) [...this.list.querySelectorAll("button")].find((button) => button.textContent === held)?.focus({ preventScroll: true });
  }

  line(workload, terms, model) {
    const { runtime, state, text, since, owner, image, id } = workload;
    const age = since && state === "stopped" && !/ ago/.test(text) ? `, ${span(model.time - since)} ago` : "";
    const restarts = restarted(workload, model);
    const hidden = terms.flatMap((term) => [["image", image], ["id", shortId(id ?? "")], ["Compose project", workload.compose_project]]
      .filter(([, value]) => value && value.toLowerCase().includes(term) && !`${title(workload)} ${runtime} ${text}`.toLowerCase().includes(term)).slice(0, 1));
    return element("li", { "data-state": state, "data-workload": `${runtime}/${title(workload)}`, tabindex: "-1" },
      element("span", { class: "title" }, element("span", { class: "state-mark", "aria-hidden": "true" }, STATES[state] ?? "·"), " ", ...marked(title(workload), terms)),
      element("span", { class: "runtime" }, ...marked(runtime ?? "", terms), ...hidden.flatMap(([label, value]) => [` · ${label} `, ...marked(value, terms)])),
      element("span", { class: "reason", title: state }, ...marked(text || state || "", terms), age),
      restarts ? element("span", { class: "restarts" }, `restarts: ${restarts}`) : null,
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
