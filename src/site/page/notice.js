// What an operator has to know to read the page: what the exporter cannot see, and what would change that.

import { clock } from "./format.js";
import { copyButton, element } from "./element.js";

// The version of the program that this page's files came with.
const VERSION = document.documentElement.dataset.version;

const CAPABILITIES = {
  CAP_NET_ADMIN: "The insides of namespaces cannot be seen: interface names and addresses of containers, and pairs between containers.",
  CAP_NET_BROADCAST: "Events of other namespaces do not arrive: the exporter reads everything at each tick, and counts less exactly what dies in between.",
};

export class Notices {
  shown = "";

  constructor(place) {
    this.place = place;
  }

  // Shows the notices about a state; `link` has those about the connection and the URL.
  show(model, { restarted, refusal, faults, dismiss }) {
    const failed = model.sources.filter(({ failure }) => failure !== undefined);
    const limited = model.sources.filter(({ limits }) => limits !== undefined);
    const empty = model.exporter !== null && model.pairs.size === 0 && model.summed === 0;
    const other = model.version !== null && VERSION !== undefined && model.version !== VERSION ? model.version : null;
    const what = JSON.stringify([model.lacks, failed, limited, empty, model.summed, restarted, refusal, faults, other]);
    if (what === this.shown) return;
    this.shown = what;
    const notices = [
      refusal === null ? null : notice("warn", "The exporter refuses this page its data", element("p", { class: "reason" }, refusal)),
      other === null ? null : otherVersion(other),
      faults.length ? badLink(faults, dismiss) : null,
      restarted === null ? null : notice("info", `The exporter was restarted; this is what the new one has seen since ${clock(restarted)}.`),
      empty ? emptyHost() : null,
      model.summed ? beyondLimit(model.summed) : null,
      model.lacks.length ? privilege(model.lacks) : null,
      // Events that a missing privilege takes away are in the notice about the privilege.
      ...failed.filter(({ collector }) => collector !== "events" || !model.lacks.length).map(failure),
      ...limited.map(limit),
    ];
    this.place.replaceChildren(...notices.filter(Boolean));
  }

  // Scrolls to the notice about a collector, or to the first one; returns false if there is none.
  lead(collector) {
    const found = [...this.place.children].find(({ dataset }) => dataset.collector === collector) ?? this.place.querySelector(".warn");
    found?.scrollIntoView({ block: "center" });
    found?.setAttribute("tabindex", "-1");
    found?.focus({ preventScroll: true });
    return found !== null && found !== undefined;
  }
}

// A page that was opened before the exporter was replaced, or that a cache has kept.
function otherVersion(version) {
  const reload = element("button", { type: "button", click: () => location.reload() }, "Reload");
  const text = `This page is of version ${VERSION}, and the exporter is of version ${version}: parts of the page may be wrong or missing until it is reloaded.`;
  return notice("warn", "Reload this page: the exporter has another version", element("p", {}, text), reload);
}

function badLink(faults, dismiss) {
  const close = element("button", { type: "button", click: dismiss }, "Close");
  return notice("info", "Parts of this page’s link mean nothing here and were ignored", ...faults.map((fault) => element("p", {}, fault)), close);
}

function notice(kind, heading, ...rest) {
  return element("section", { class: `notice ${kind}` }, element("h2", {}, heading), ...rest);
}

function command(what, text) {
  return element("div", { class: "command" }, element("p", {}, what, copyButton(what, text)), element("pre", {}, text));
}

function privilege(lacks) {
  const names = lacks.join(" ");
  const flags = lacks.map((name) => `--cap-add ${name.replace("CAP_", "")}`).join(" ");
  return notice(
    "warn",
    `The exporter runs without ${lacks.join(" and ")}`,
    ...lacks.map((name) => element("p", {}, CAPABILITIES[name] ?? "")),
    element("details", {},
      element("summary", {}, "How to give it"),
      command("In a container", `docker run --network host --pid host ${flags} ...`),
      command("Under systemd: sudo systemctl edit veth-exporter", `[Service]\nAmbientCapabilities=${names}`),
      command("By hand", `sudo setcap ${lacks.join(",").toLowerCase()}=ep "$(command -v veth-exporter)"`)),
  );
}

function emptyHost() {
  return notice(
    "info",
    "There is no veth pair on this host",
    element("p", {}, "A pair appears here by itself as soon as a container, pod or namespace gets one. Containers on the host’s network and rootless ones (pasta, slirp4netns) have none."),
    element("p", {}, "The exporter sees the network namespace that it runs in. In a container it needs the host’s:"),
    command("In a container", "docker run --network host --pid host --cap-add NET_ADMIN --cap-add NET_BROADCAST ..."),
    command("To see a pair for a minute", "docker run --rm -d busybox sleep 60"),
    command("The same without an engine", "sudo ip netns add demo && sudo ip link add veth-demo up type veth peer name eth0 netns demo"),
  );
}

function beyondLimit(summed) {
  return notice(
    "warn",
    `${summed} more ${summed === 1 ? "pair is" : "pairs are"} not shown here`,
    element("p", {}, "There are more series than --limits.series. In /metrics these pairs are one sum, under the label value other."),
  );
}

function failure({ collector, failure: reason }) {
  return about(collector, notice("warn", `${collector} does not answer`, element("p", { class: "reason" }, reason)));
}

function limit({ collector, limits }) {
  const reasons = limits.map((reason) => element("p", { class: "reason" }, reason));
  return about(collector, notice("warn", `${collector} does not report everything`, ...reasons));
}

// Marks a notice with the collector that it is about, so that a problem can lead to it.
function about(collector, node) {
  node.dataset.collector = collector;
  return node;
}
