// What the stream has told: pairs, and the rows that are made of them.

import { shortId, title } from "./format.js";

// So many ticks are drawn.
export const HISTORY = 120;

// Sorted by what flows now, a row's place is that of the mean of so many ticks: so rows do not jump about.
const STEADY = 5;

const ZERO = [0, 0, 0, 0];

export class Model {
  exporter = null;
  interval = 1;
  time = 0;
  lacks = [];
  sources = [];
  summed = 0;
  pairs = new Map();
  rows = [];
  ticks = 0;

  // Takes all there is. True if another exporter says it than before.
  takeState(state) {
    const restarted = this.exporter !== null && this.exporter !== state.exporter;
    const before = restarted ? new Map() : this.pairs;
    this.exporter = state.exporter;
    this.interval = state.interval;
    this.lacks = state.lacks;
    this.pairs = new Map();
    for (const pair of state.appeared ?? []) {
      this.pairs.set(pair.id, described(pair, before.get(pair.id)));
    }
    this.takeNumbers(state);
    this.remake();
    return restarted;
  }

  // Takes what is new at a tick. True if there are other pairs than before.
  takeTick(tick) {
    for (const id of tick.vanished ?? []) this.pairs.delete(id);
    for (const pair of [...(tick.appeared ?? []), ...(tick.changed ?? [])]) {
      this.pairs.set(pair.id, described(pair, this.pairs.get(pair.id)));
    }
    this.takeNumbers(tick);
    this.ticks += 1;
    for (const pair of this.pairs.values()) pair.history.push(pair.rates ?? ZERO);
    const other = Boolean(tick.vanished || tick.appeared || tick.changed);
    if (other) this.remake();
    return other;
  }

  takeNumbers(told) {
    this.time = told.time;
    if (told.sources) this.sources = told.sources;
    this.summed = told.summed ?? this.summed;
    const note = (name, rows) => {
      for (const [id, ...values] of rows ?? []) {
        const pair = this.pairs.get(id);
        // Four nulls: not known.
        if (pair) pair[name] = values[0] === null ? null : values;
      }
    };
    note("rates", told.rates);
    note("peaks", told.peaks);
    note("dropped", told.dropped);
  }

  // The same as it is now, whatever comes.
  frozen() {
    const copy = Object.assign(new Model(), this);
    copy.pairs = new Map();
    for (const [id, pair] of this.pairs) copy.pairs.set(id, { ...pair, history: pair.history.copy() });
    copy.remake();
    return copy;
  }

  // A row for each workload that a pair leads to; one for a pair between two ports.
  remake() {
    this.rows = [];
    for (const pair of this.pairs.values()) {
      const [first, second] = pair.ends;
      if (first.role === "interface") this.rows.push(new Row(this.exporter, pair, 0));
      if (second.role === "interface" || first.role === "port") this.rows.push(new Row(this.exporter, pair, 1));
    }
  }

  // Of all pairs together, in their workloads' view.
  sums() {
    let receive = 0;
    let transmit = 0;
    for (const pair of this.pairs.values()) {
      if (pair.rates === null) continue;
      receive += pair.rates[0];
      transmit += pair.rates[1];
    }
    return { receive, transmit };
  }
}

function described(pair, before) {
  return {
    ...pair,
    rates: before?.rates ?? null,
    peaks: before?.peaks ?? null,
    dropped: before?.dropped ?? [0, 0],
    history: before?.history ?? new History(),
  };
}

// The last ticks of a pair, bytes a second each way.
class History {
  receive = new Float64Array(HISTORY);
  transmit = new Float64Array(HISTORY);
  length = 0;
  next = 0;

  push([receive, transmit]) {
    this.receive[this.next] = receive;
    this.transmit[this.next] = transmit;
    this.next = (this.next + 1) % HISTORY;
    this.length = Math.min(this.length + 1, HISTORY);
  }

  copy() {
    const { receive, transmit, length, next } = this;
    return Object.assign(new History(), { receive: receive.slice(), transmit: transmit.slice(), length, next });
  }

  // The values of one direction, the oldest first.
  values(direction) {
    const all = this[direction];
    const start = (this.next - this.length + HISTORY) % HISTORY;
    return Array.from({ length: this.length }, (_, index) => all[(start + index) % HISTORY]);
  }

  // The mean of the last ticks, both ways together.
  steady() {
    const ticks = Math.min(this.length, STEADY);
    let sum = 0;
    for (let back = 1; back <= ticks; back += 1) {
      const at = (this.next - back + HISTORY) % HISTORY;
      sum += this.receive[at] + this.transmit[at];
    }
    return ticks ? sum / ticks : 0;
  }
}

// One workload's side of a pair.
export class Row {
  constructor(exporter, pair, side) {
    this.exporter = exporter;
    this.pair = pair;
    this.side = side;
    // An exporter's ids are its own: the next one gives them to other pairs.
    this.key = `${exporter} ${pair.id}.${side}`;
    this.end = pair.ends[side];
    this.peer = pair.ends[1 - side];
    this.workload = this.end.workload;
    this.name = this.workload ? title(this.workload) || this.workload.runtime : nobody(this.end);
    this.runtime = this.workload?.runtime ?? (this.end.role === "port" ? "port" : "unclaimed");
    this.network = this.end.network || this.peer.network;
    this.bridge = this.peer.bridge ?? "";
    this.device = this.peer.name ?? "–";
    this.words = words(this).toLowerCase();
  }

  // Whether it is what another exporter has called `before`: the same ends, as the kernel numbers them.
  follows(before) {
    const same = (one, another) => one.netns === another.netns && one.nsid === another.nsid && one.ifindex === another.ifindex;
    return this.exporter !== before.exporter && same(this.end, before.end) && same(this.peer, before.peer);
  }

  get receive() {
    return this.pair.rates === null ? null : this.pair.rates[this.side === 1 ? 0 : 1];
  }

  get transmit() {
    return this.pair.rates === null ? null : this.pair.rates[this.side === 1 ? 1 : 0];
  }

  // The higher of the two directions' peaks.
  get peak() {
    return this.pair.peaks === null ? null : Math.max(this.pair.peaks[0], this.pair.peaks[1]);
  }

  get drops() {
    return this.pair.dropped[0] + this.pair.dropped[1];
  }

  get activity() {
    return this.pair.history.length ? this.pair.history.steady() : (this.receive ?? 0) + (this.transmit ?? 0);
  }

  // What flows into the workload, and out of it, the oldest first.
  history() {
    const [into, out] = this.side === 1 ? ["receive", "transmit"] : ["transmit", "receive"];
    return [this.pair.history.values(into), this.pair.history.values(out)];
  }

  matches(terms) {
    return terms.every((term) => this.words.includes(term));
  }
}

function nobody(end) {
  return end.role === "port" ? end.netns || "host" : `unclaimed ${end.netns}`.trim();
}

// All that a search looks at.
function words(row) {
  const said = [row.name, row.runtime, row.network];
  for (const end of row.pair.ends) {
    said.push(end.name ?? "", end.address ?? "", end.kind === "veth" ? "" : end.kind ?? "", end.master ?? end.bridge ?? "", end.netns, `ifindex ${end.ifindex}`);
    for (const workload of [end.workload, ...end.members]) {
      if (workload === null) continue;
      said.push(title(workload), workload.id, shortId(workload.id), workload.image);
      said.push(workload.compose_project, workload.compose_service);
    }
  }
  return said.join("\n");
}
