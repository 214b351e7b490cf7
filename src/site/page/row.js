// One workload's side of a pair: its names, its numbers, and the texts that a search looks at.

import { shortId, title } from "./format.js";

export class Row {
  problems = [];
  // The severity of the worst problem, 0 without one, and when it began.
  severity = 0;
  since = 0;
  // The place among all rows by name, which decides between rows that are otherwise equal.
  order = 0;

  constructor(pair, side) {
    this.pair = pair;
    this.side = side;
    this.end = pair.ends[side];
    this.peer = pair.ends[1 - side];
    this.workload = this.end.workload ?? null;
    this.members = this.end.members ?? [];
    this.name = this.workload ? title(this.workload) || this.workload.runtime : unnamed(this.end);
    this.runtime = this.workload?.runtime ?? (this.end.role === "port" ? "port" : "unclaimed");
    this.network = this.end.network || this.peer.network || "";
    this.bridge = this.peer.bridge ?? "";
    this.device = this.peer.name ?? "–";
    this.interface = this.end.name ?? "";
    // Names, not numbers: the same row has the same key after a restart of the exporter or of the workload.
    this.key = [this.runtime, this.name, this.interface, this.network].join("/");
    this.base = this.key;
    this.fields = fields(this);
    this.words = this.fields.map(({ text }) => text).join("\n").toLowerCase();
  }

  // Returns true for a row whose two ends are those of another row, as the kernel numbers them: a namespace may get a name later.
  hasEndsOf(row) {
    const same = (one, other) => one.ifindex === other.ifindex && one.nsid === other.nsid && (one.nsid !== null || one.netns === other.netns);
    return same(this.end, row.end) && same(this.peer, row.peer);
  }

  // Returns true for a row that was this one before its names were known, or others became known.
  continues(row) {
    return row.pair.id === this.pair.id && row.side === this.side && this.hasEndsOf(row);
  }

  // A pair's numbers are those of its second end.
  numbers(all, offset = 0) {
    if (all === null) return [null, null];
    const [first, second] = [all[offset] ?? null, all[offset + 1] ?? null];
    return this.side === 1 ? [first, second] : [second, first];
  }

  get receive() {
    return this.pair.rates === null ? null : this.pair.rates[this.side === 1 ? 0 : 1];
  }

  get transmit() {
    return this.pair.rates === null ? null : this.pair.rates[this.side === 1 ? 1 : 0];
  }

  // Packets a second, both directions.
  get packets() {
    return this.pair.rates === null ? null : this.pair.rates[2] + this.pair.rates[3];
  }

  // Dropped packets a second now, both directions.
  get drops() {
    return this.pair.drops === null ? null : this.pair.drops[0] + this.pair.drops[1];
  }

  // The higher of the two directions' peaks.
  get peak() {
    return this.pair.peaks === null ? null : Math.max(this.pair.peaks[0], this.pair.peaks[1]);
  }

  get activity() {
    const { history } = this.pair;
    return history.isEmpty ? (this.receive ?? 0) + (this.transmit ?? 0) : history.steady();
  }

  get state() {
    if (this.end.up === false || this.peer.up === false) return "down";
    return this.pair.state === "paired" ? "up" : (this.pair.state ?? "").replaceAll("_", " ");
  }

  get mtu() {
    const [own, other] = [this.end.mtu ?? null, this.peer.mtu ?? null];
    return own === null || other === null || own === other ? String(own ?? other ?? "–") : `${own} ≠ ${other}`;
  }

  // Returns the traffic into the workload and out of it, the oldest first; `span` is `ticks` or `halves`.
  history(span = "ticks") {
    const [into, out] = this.side === 1 ? ["receive", "transmit"] : ["transmit", "receive"];
    const ring = this.pair.history[span];
    return [ring.values(into), ring.values(out)];
  }

  matches(terms) {
    return terms.every((term) => this.words.includes(term));
  }
}

function unnamed(end) {
  return end.role === "port" ? end.netns || "host" : `unclaimed ${end.netns}`.trim();
}

// Returns all texts that a search looks at; `shown` are those that the row itself shows.
function fields(row) {
  const all = [
    { label: "name", text: row.name, shown: true },
    { label: "runtime", text: row.runtime, shown: true },
    { label: "network", text: row.network, shown: true },
    { label: "device", text: row.device, shown: true },
  ];
  const add = (label, text) => text && all.push({ label, text, shown: false });
  if (!row.network) all.push({ label: "bridge", text: row.bridge, shown: true });
  for (const member of row.members) all.push({ label: "member", text: title(member), shown: false });
  for (const end of row.pair.ends) {
    add("interface", end.name);
    add("MAC address", end.address);
    add("kind", end.kind === "veth" ? "" : end.kind);
    add("master", end.master ?? end.bridge);
    add("namespace", end.netns);
    add("index", `ifindex ${end.ifindex}`);
    for (const workload of [end.workload, ...(end.members ?? [])]) {
      if (!workload) continue;
      add(workload === row.workload ? "name" : "workload", title(workload));
      // The short form is what a person copies from Docker's output.
      add("id", shortId(workload.id ?? ""));
      add("id", workload.id);
      add("image", workload.image);
      add("Compose project", workload.compose_project);
      add("Compose service", workload.compose_service);
    }
  }
  return all;
}
