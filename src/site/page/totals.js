// The totals of a row. The stream does not have them: the details ask the API while they are open.

import { bytes, moment } from "./format.js";

const API = new URL("../api/v1/pairs", import.meta.url);

const EVERY = 5000;

export class Totals {
  timer = 0;
  request = null;
  row = null;
  // While the page is paused no answer is shown.
  paused = false;

  // `show` gets what the API answers about the row, or null.
  constructor(show) {
    this.show = show;
  }

  // Follows the totals of a row until another one is followed, or null.
  follow(row) {
    const again = this.row !== null && this.row.pair === row?.pair && this.row.side === row?.side;
    this.row = row;
    if (again) return;
    clearTimeout(this.timer);
    this.request?.abort();
    if (row !== null) this.ask();
  }

  async ask() {
    const { row } = this;
    const request = new AbortController();
    this.request = request;
    const answer = await fetchPair(row, request.signal);
    if (request !== this.request || this.row === null) return;
    if (answer !== undefined && !this.paused) this.show(answer);
    this.timer = setTimeout(() => this.ask(), EVERY);
  }
}

// Returns the row's two ends as the API has them: its own, then the other; undefined if there is no answer.
async function fetchPair(row, signal) {
  const address = new URL(API);
  const port = [row.peer, row.end].find((end) => end.role === "port" && end.name);
  const { container, pod } = row.workload ?? {};
  if (port) address.searchParams.set("device", port.name);
  else if (pod) address.searchParams.set("pod", pod);
  else if (container) address.searchParams.set("container", container);
  else return undefined;
  try {
    const response = await fetch(address, { cache: "no-store", signal });
    if (!response.ok) return undefined;
    const { pairs = [] } = await response.json();
    const is = (one, other) => one.netns === other.netns && one.nsid === other.nsid && one.ifindex === other.ifindex;
    for (const { ends } of pairs) {
      const own = ends.findIndex((end, index) => is(end, row.end) && is(ends[1 - index], row.peer));
      if (own >= 0) return [ends[own], ends[1 - own]];
    }
  } catch {
    // Without an answer the totals stay as they were.
  }
  return undefined;
}

// Returns the totals of both directions as text, in all and in the present periods, and what they count.
export function totalTexts([own, peer], time) {
  const { totals } = own;
  // A port's receive is its workload's transmit.
  const counters = totals ?? own.counters ?? peer.counters;
  const none = ["–", "–"];
  if (!counters) return { total: none, packets: none, today: none, month: none, since: "" };
  const ways = totals || own.counters ? ["receive", "transmit"] : ["transmit", "receive"];
  const { today, month } = totals?.periods ?? {};
  const from = (what, since) => since ? `${what} since ${moment(since, time)}` : "";
  const since = totals
    ? [from("Total: counted", totals.since), from("Today:", today?.since), from("This month:", month?.since)]
    : [`Total: the port’s own count${own.shared ? ", because several pairs have the same labels" : ""}`];
  const period = (counted) => counted ? ways.map((way) => bytes(counted[`${way}_bytes`])) : none;
  return {
    total: ways.map((way) => bytes(counters[`${way}_bytes`])),
    packets: ways.map((way) => `${counters[`${way}_packets`].toLocaleString("en")} packets`),
    today: period(today),
    month: period(month),
    since: since.filter(Boolean).map((sentence) => `${sentence}.`).join(" "),
  };
}
