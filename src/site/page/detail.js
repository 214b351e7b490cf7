// One workload's side of a pair: its ends, addresses, members, ids, and how to ask Prometheus for its series.

import { clock, packets, rate, selector, shortId, title } from "./format.js";
import { copyButton, element, say } from "./element.js";
import { Sparkline } from "./sparkline.js";

export class Detail {
  row = null;
  gone = false;

  constructor(place, closed) {
    this.place = place;
    this.closed = closed;
  }

  get isOpen() {
    return this.row !== null;
  }

  open(row) {
    this.row = row;
    this.gone = false;
    this.before ??= document.activeElement;
    this.make();
    this.place.hidden = false;
    document.body.classList.add("has-detail");
    this.title.focus({ preventScroll: true });
  }

  close() {
    if (!this.isOpen) return;
    this.row = null;
    this.place.hidden = true;
    this.place.replaceChildren();
    document.body.classList.remove("has-detail");
    if (this.before?.isConnected) this.before.focus({ preventScroll: true });
    this.before = null;
    this.closed();
  }

  // Shows the row as it is now; it may be gone.
  update(rows, time) {
    if (!this.isOpen) return;
    const now = rows.find((row) => row.key === this.row.key) ?? rows.find((row) => row.follows(this.row));
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
    const { row } = this;
    // What has the focus is made anew too: whoever is there by keyboard stays where he was.
    const held = this.place.contains(document.activeElement) ? (document.activeElement.getAttribute("aria-label") ?? "") : null;
    this.title = element("h2", { id: "detail-title", tabindex: "-1" }, row.name);
    this.state = element("p", { class: "gone", role: "status" });
    this.values = new Map();
    this.sparkline = new Sparkline(360, 84);
    this.scale = element("figcaption");
    const close = element("button", { type: "button", class: "close", "aria-label": "Close", click: () => this.close() }, "✕");
    const said = [row.runtime, row.network && `network ${row.network}`, row.end.parent && `inside ${row.end.parent}`];
    this.place.replaceChildren(
      element("div", { class: "detail-head" }, element("div", {}, this.title, element("p", { class: "muted" }, said.filter(Boolean).join(" · "))), close),
      this.state,
      element("figure", { class: "history" }, this.sparkline.node, this.scale),
      element("table", { class: "numbers" },
        element("thead", {}, element("tr", {}, element("td"), ...["Receive", "Transmit"].map((word) => element("th", { scope: "col" }, element("span", { class: `dot ${word.toLowerCase()}` }), word)))),
        element("tbody", {}, this.line("Now", "now"), this.line("", "packets"), this.line("Peak", "peak"), this.line("Dropped packets", "dropped"))),
      ...section("Workload", who(row.workload)),
      ...members(row.end.members),
      ...section("Its end", end(row.end)),
      ...section(row.peer.role === "port" ? "The port" : "The other end", [...(row.peer.workload ? who(row.peer.workload) : []), ...end(row.peer)]),
      element("h3", {}, "Ask Prometheus"),
      ...queries(row).map(([what, query]) => element("div", { class: "query" }, element("p", {}, what, copyButton(`the query: ${what}`, query)), element("code", {}, query))),
    );
    this.numbers();
    if (held !== null) ([...this.place.querySelectorAll("button")].find((button) => button.getAttribute("aria-label") === held) ?? this.title).focus({ preventScroll: true });
  }

  line(label, key) {
    const cells = [element("td"), element("td")];
    this.values.set(key, cells);
    return element("tr", {}, element("th", { scope: "row" }, label), ...cells);
  }

  numbers() {
    const { row } = this;
    const { rates, peaks, dropped } = row.pair;
    const [into, out] = row.side === 1 ? [0, 1] : [1, 0];
    const set = (key, values) => values.forEach((value, index) => say(this.values.get(key)[index], value));
    const pair = (all, write, offset = 0) => [into, out].map((place) => (all === null ? "–" : write(all[place + offset])));
    set("now", pair(rates, rate));
    set("packets", pair(rates, packets, 2));
    set("peak", pair(peaks, rate));
    set("dropped", pair(dropped, (value) => value.toLocaleString("en")));
    say(this.scale, `Upper edge ${rate(this.sparkline.draw(row.history()))}`);
    say(this.state, row.pair.state === "peer_hidden" ? "The other end is in a namespace that may not be looked into." : "");
  }
}

// A part with a heading, if there is anything in it.
function section(heading, facts) {
  if (!facts.length) return [];
  const lines = facts.flatMap(([name, value, copy]) => [
    element("dt", {}, name),
    element("dd", {}, element("span", { class: "value" }, value), copy === undefined ? null : copyButton(name, copy)),
  ]);
  return [element("h3", {}, heading), element("dl", { class: "facts" }, ...lines)];
}

function who(workload) {
  if (workload === null) return [];
  const { runtime, container, namespace, pod, id, image, compose_project: project, compose_service: service } = workload;
  return [
    ["Name", title(workload) || runtime, title(workload) || runtime],
    container && pod && ["Container", container, container],
    namespace && ["Namespace", namespace],
    ["Runtime", runtime],
    id && ["Id", shortId(id), id],
    image && ["Image", image, image],
    project && ["Compose", service ? `${project} / ${service}` : project],
  ].filter(Boolean);
}

function members(all) {
  if (!all.length) return [];
  const line = (member) => element("li", {}, element("span", { class: "value" }, title(member)), " ", element("span", { class: "muted" }, shortId(member.id)), copyButton(`the id of ${title(member)}`, member.id || title(member)));
  return [element("h3", {}, "Members of its namespace"), element("ul", { class: "members" }, ...all.map(line))];
}

function end({ name, kind, netns, nsid, ifindex, address, mtu, up, bridge, master, master_kind }) {
  return [
    ["Interface", name ?? "cannot be seen", name ?? undefined],
    kind && kind !== "veth" && ["Kind", kind],
    ["Index", String(ifindex)],
    ["Namespace", netns || "host", netns || undefined],
    nsid !== null && ["Its id (nsid)", String(nsid)],
    address !== null && ["MAC address", address, address],
    bridge !== null && ["Bridge", bridge, bridge],
    master && bridge === null && ["Master", master_kind ? `${master} (${master_kind})` : master, master],
    mtu !== null && ["MTU", `${mtu} bytes`],
    up !== null && ["State", up ? "up" : "down"],
  ].filter(Boolean);
}

function queries(row) {
  const asked = [];
  if (row.end.role === "interface") {
    const { runtime, container, namespace, pod } = row.workload ?? { runtime: "unknown", container: "", namespace: "", pod: "" };
    const labels = selector({ runtime, container, namespace, pod, interface: row.end.name ?? "", network: row.end.network });
    asked.push(
      ["Receive, bytes a second", `rate(veth_container_receive_bytes_total${labels}[5m])`],
      ["Transmit, bytes a second", `rate(veth_container_transmit_bytes_total${labels}[5m])`],
      ["Receive, the highest tick", `veth_container_receive_peak_bytes_per_second${labels}`],
    );
  }
  const port = row.peer.role === "port" ? row.peer : row.end.role === "port" ? row.end : null;
  if (port?.name) {
    // Devices of the host have no netns: without that the query would take those of that name in namespaces as well.
    const labels = selector({ device: port.name, netns: port.netns }, ["netns"]);
    asked.push(["The port’s receive (its workload’s transmit)", `rate(veth_device_receive_bytes_total${labels}[5m])`]);
  }
  return asked;
}
