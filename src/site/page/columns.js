// The columns of the table: what each shows, how it sorts, and which of them have room.

import { each, packets, rate } from "./format.js";
import { NAMES } from "./model.js";

// The space between two columns, and at both edges of a row, CSS pixels.
const GAP = 14;
const EDGES = 36;

// `least` is the smallest width in CSS pixels, `grow` the part of the free width. Where there is no room, the column with
// the lowest `weight` is left out first.
export const COLUMNS = [
  { key: "name", label: "Workload", least: 190, grow: 2.4, weight: 9, of: (row) => row.name },
  { key: "network", label: "Network", least: 90, grow: 1.2, weight: 5, of: (row) => row.network || row.bridge },
  { key: "device", label: "Device", least: 104, grow: 1, weight: 3, of: (row) => row.device },
  { key: "state", label: "State", least: 84, weight: 2, of: (row) => row.state, text: (row) => row.state, title: "Whether both ends are up" },
  { key: "mtu", label: "MTU", least: 92, weight: 1, number: true, of: (row) => row.end.mtu ?? row.peer.mtu ?? -1, text: (row) => row.mtu, title: "The workload’s end, and the other end if it differs; bytes" },
  { key: "receive", label: "Receive", least: 94, weight: 8, number: true, sum: true, of: (row) => row.receive ?? -1, text: (row) => rate(row.receive), title: "Into the workload, in the last tick" },
  { key: "transmit", label: "Transmit", least: 94, weight: 8, number: true, sum: true, of: (row) => row.transmit ?? -1, text: (row) => rate(row.transmit), title: "Out of the workload, in the last tick" },
  { key: "packets", label: "Packets", least: 122, weight: 3, number: true, sum: true, of: (row) => row.packets ?? -1, text: (row) => packets(row.packets), title: "Packets a second in the last tick, both directions" },
  { key: "peak", label: "Peak", least: 94, weight: 4, number: true, of: (row) => row.peak ?? -1, text: (row) => rate(row.peak), title: "The highest tick of either direction within --peak.window, a minute by default; not known where several pairs have the same labels" },
  { key: "drops", label: "Drops/s", least: 72, weight: 7, number: true, sum: true, of: (row) => row.drops ?? -1, text: (row) => each(row.drops), title: "Packets that the pair drops a second now, both directions; the details have the total" },
  { key: "activity", label: "Last minutes", least: 130, grow: 0.5, weight: 6, number: true, sum: true, of: (row) => row.activity, title: "Traffic of the last ticks, both directions" },
];

const BY_KEY = new Map(COLUMNS.map((column) => [column.key, column]));

// The columns of a page that no choice has changed.
export const USUAL = ["name", "network", "device", "receive", "transmit", "peak", "drops", "activity"];

export function column(key) {
  return BY_KEY.get(key);
}

// Returns the named columns in the table's order; a workload's name is always among them.
export function chosen(keys) {
  return COLUMNS.filter(({ key }) => key === "name" || keys.includes(key));
}

// Returns the columns that have room in this width.
export function fitting(columns, width) {
  const shown = [...columns];
  const needed = () => shown.reduce((sum, { least }) => sum + least + GAP, EDGES - GAP);
  while (shown.length > 1 && needed() > width) {
    const lightest = shown.reduce((one, other) => (other.weight < one.weight ? other : one));
    shown.splice(shown.indexOf(lightest), 1);
  }
  return shown;
}

// Returns the columns' widths as a grid has them.
export function template(columns) {
  return columns.map(({ least, grow }) => (grow ? `minmax(${least}px, ${grow}fr)` : `${least}px`)).join(" ");
}

// Sorts rows in place: those with a problem first, the worst and then the oldest before the others, whatever the column.
// Rows that are almost in order, as those of the tick before are, take little time.
export function sort(rows, { key, falling }) {
  const { of, number } = column(key);
  const sign = falling ? -1 : 1;
  for (const row of rows) row.value = of(row);
  // A row without a name comes last in either direction.
  const compare = number
    ? (one, other) => sign * (one - other)
    : (one, other) => (one === "" || other === "" ? (one === "") - (other === "") : sign * NAMES.compare(one, other));
  return rows.sort((one, other) => other.severity - one.severity || (one.severity && one.since - other.since) || compare(one.value, other.value) || one.order - other.order);
}
