// The state that the stream reports: pairs and the rows made of them, problems, workloads, events.

import { title } from "./format.js";
import { History, LENGTH } from "./history.js";
import { Row } from "./row.js";

const SEVERITIES = ["notice", "warning", "critical"];

// The exporter keeps as many events.
const EVENTS = 200;

const ZERO = [0, 0, 0, 0];

const NAMES = new Intl.Collator(undefined, { numeric: true });

export class Model {
  exporter = null;
  version = null;
  host = null;
  interval = 1;
  time = 0;
  lacks = [];
  sources = [];
  summed = 0;
  problems = [];
  workloads = [];
  events = [];
  // How often a workload was started again, by runtime and name.
  restarts = new Map();
  pairs = new Map();
  rows = [];
  ticks = 0;
  // Histories of pairs that have gone, by the key of their row: a workload's history continues when it is recreated.
  ended = new Map();

  // Takes a whole state. Returns true if it is another exporter's than the one before.
  takeState(state) {
    const restarted = this.exporter !== null && this.exporter !== state.exporter;
    const before = restarted ? new Map() : this.pairs;
    this.exporter = state.exporter;
    this.version = state.version ?? null;
    this.host = state.host ?? null;
    this.interval = state.interval;
    this.lacks = state.lacks ?? [];
    this.problems = [];
    this.workloads = [];
    this.events = [];
    this.restarts = new Map();
    this.pairs = new Map();
    this.ended.clear();
    for (const pair of state.appeared ?? []) this.pairs.set(pair.id, described(pair, before.get(pair.id)));
    this.takeHistory(state);
    this.takeNumbers(state);
    this.remake();
    return restarted;
  }

  // Takes the news of a tick. Returns true if pairs have appeared, changed or gone.
  takeTick(tick) {
    for (const id of tick.vanished ?? []) this.end(id);
    for (const pair of [...(tick.appeared ?? []), ...(tick.changed ?? [])]) {
      this.pairs.set(pair.id, described(pair, this.pairs.get(pair.id)));
    }
    for (const { id } of tick.appeared ?? []) this.resume(this.pairs.get(id));
    const sent = this.takeHistory(tick);
    const other = Boolean(tick.vanished || tick.appeared || tick.changed);
    this.takeNumbers(tick);
    this.ticks += 1;
    for (const [id, { history, rates }] of this.pairs) {
      const [receive, transmit] = rates ?? ZERO;
      // A history that came with this tick ends with it.
      if (!sent.has(id)) history.push(receive, transmit, tick.time);
    }
    if (other) this.remake();
    else if (tick.problems) this.assign();
    return other;
  }

  takeNumbers(news) {
    this.time = news.time;
    this.host = news.host ?? this.host;
    this.sources = news.sources ?? this.sources;
    this.summed = news.summed ?? this.summed;
    this.problems = news.problems ?? this.problems;
    this.workloads = news.workloads ?? this.workloads;
    if (news.restarts) this.restarts = new Map(news.restarts.map((one) => [`${one.runtime}/${one.workload}`, one]));
    if (news.events) this.events = [...this.events, ...news.events].slice(-EVENTS);
    const each = (rows, take) => {
      for (const [id, ...values] of rows ?? []) {
        const pair = this.pairs.get(id);
        // Nulls: the numbers are not known.
        if (pair) take(pair, values[0] === null ? null : values);
      }
    };
    each(news.rates, (pair, values) => {
      pair.rates = values;
      pair.drops = values === null || values.length < 6 ? null : values.slice(4, 6);
    });
    each(news.peaks, (pair, values) => {
      pair.peaks = values;
    });
    each(news.dropped, (pair, values) => {
      pair.dropped = values;
    });
  }

  // Takes the histories of a message; returns the pairs that have one.
  takeHistory({ history }) {
    const taken = new Set();
    for (const sent of history ?? []) {
      const pair = this.pairs.get(sent.pair);
      const decoded = pair ? History.from(sent) : null;
      if (decoded === null || decoded.isEmpty) continue;
      pair.history = decoded;
      taken.add(sent.pair);
    }
    return taken;
  }

  // Removes a pair; its history waits for a while for the workload's next pair.
  end(id) {
    const pair = this.pairs.get(id);
    if (!pair) return;
    this.pairs.delete(id);
    for (const [key, { ticks }] of this.ended) if (this.ticks - ticks > LENGTH) this.ended.delete(key);
    for (const row of sides(pair)) this.ended.set(row.key, { history: pair.history, ticks: this.ticks, side: row.side });
  }

  // Gives a pair that has appeared the history of the workload's pair before it.
  resume(pair) {
    for (const row of sides(pair)) {
      const before = this.ended.get(row.key);
      if (!before || before.side !== row.side) continue;
      this.ended.delete(row.key);
      const gap = Math.min(LENGTH, this.ticks - before.ticks);
      for (let back = gap; back > 0; back -= 1) before.history.push(0, 0, this.time - (back - 1) * this.interval);
      pair.history = before.history;
      return;
    }
  }

  // Returns a copy that later news do not change.
  frozen() {
    const copy = Object.assign(new Model(), this);
    copy.pairs = new Map();
    for (const [id, pair] of this.pairs) copy.pairs.set(id, { ...pair, history: pair.history.copy() });
    copy.remake();
    return copy;
  }

  // Makes the rows: one for each workload that a pair leads to, and one for a pair between two ports.
  remake() {
    this.rows = [...this.pairs.values()].flatMap(sides);
    const keys = new Map();
    for (const row of this.rows) keys.set(row.key, (keys.get(row.key) ?? 0) + 1);
    for (const row of this.rows) if (keys.get(row.base) > 1) row.key = `${row.base}/${row.device}`;
    const sorted = [...this.rows].sort((one, other) => NAMES.compare(one.name, other.name) || NAMES.compare(one.device, other.device) || one.pair.id - other.pair.id);
    sorted.forEach((row, order) => {
      row.order = order;
    });
    this.assign();
  }

  // Gives each row the problems that are about it.
  assign() {
    const rows = new Map();
    for (const row of this.rows) {
      row.problems = [];
      row.severity = 0;
      row.since = 0;
      if (!rows.has(row.pair.id)) rows.set(row.pair.id, []);
      rows.get(row.pair.id).push(row);
    }
    for (const problem of this.problems) {
      for (const id of problem.pairs ?? []) {
        const both = rows.get(id) ?? [];
        const { runtime, workload } = problem.subject ?? {};
        const isIt = (one) => one?.runtime === runtime && title(one) === workload;
        const named = both.filter((row) => isIt(row.workload) || row.members.some(isIt));
        for (const row of named.length ? named : both) add(row, problem);
      }
    }
  }

  // Returns the row of a key; of an incomplete key, such as docker/web, the first row that it begins.
  find(key) {
    const exact = this.rows.find((row) => row.key === key) ?? this.rows.find((row) => row.base === key);
    const begins = `${key.replace(/\/+$/, "")}/`;
    return exact ?? this.rows.find((row) => row.key.startsWith(begins)) ?? null;
  }
}

function add(row, problem) {
  const severity = SEVERITIES.indexOf(problem.severity) + 1;
  row.problems.push(problem);
  if (severity > row.severity || (severity === row.severity && problem.since < row.since)) {
    row.severity = severity;
    row.since = problem.since;
  }
}

function sides(pair) {
  const [first, second] = pair.ends;
  const rows = [];
  if (first.role === "interface") rows.push(new Row(pair, 0));
  if (second.role === "interface" || first.role === "port") rows.push(new Row(pair, 1));
  return rows;
}

function described(pair, before) {
  return {
    ...pair,
    rates: before?.rates ?? null,
    drops: before?.drops ?? null,
    peaks: before?.peaks ?? null,
    dropped: before?.dropped ?? [0, 0],
    history: before?.history ?? new History(),
  };
}

export { NAMES };
