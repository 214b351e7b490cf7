// Groups of rows, with a header row that has the group's sums.

import { column } from "./columns.js";
import { plus } from "./format.js";

const OF = {
  project: (row) => row.workload?.compose_project || "",
  network: (row) => row.network || row.bridge || "",
  workload: (row) => (row.workload ? row.name : ""),
};

const WITHOUT = { project: "without a Compose project", network: "without a network", workload: "without a workload" };

export const GROUPINGS = [["", "None"], ["project", "Compose project"], ["network", "Network"], ["workload", "Workload"]];

export function isGrouping(by) {
  return Object.hasOwn(OF, by);
}

class Group {
  rows = [];
  severity = 0;
  since = 0;
  problems = 0;
  // A sum of rows whose numbers are not known is not known.
  sums = { receive: null, transmit: null, packets: null, drops: null, activity: null };

  constructor(by, name) {
    this.name = name || WITHOUT[by];
    this.isNamed = name !== "";
    this.key = `group ${by} ${name}`;
  }

  add(row) {
    // The rows come sorted, the worst first.
    if (this.rows.length === 0) [this.severity, this.since] = [row.severity, row.since];
    this.rows.push(row);
    this.problems += row.problems.length;
    for (const key in this.sums) this.sums[key] = plus(this.sums[key], row[key]);
  }
}

// Returns the table's entries, rows and headers of groups; `folded` has the keys of groups without their rows.
export function entries(rows, by, sort, folded) {
  if (!isGrouping(by)) return rows;
  const groups = new Map();
  for (const row of rows) {
    const name = OF[by](row);
    if (!groups.has(name)) groups.set(name, new Group(by, name));
    groups.get(name).add(row);
  }
  // Sorted by a number, groups are in the order of their sums; else in that of their first rows.
  const sign = sort.falling ? -1 : 1;
  const compare = column(sort.key).sum ? (one, other) => sign * ((one.sums[sort.key] ?? -1) - (other.sums[sort.key] ?? -1)) : () => 0;
  const all = [...groups.values()];
  all.sort((one, other) => other.severity - one.severity || (one.severity && one.since - other.since) || other.isNamed - one.isNamed || compare(one, other));
  return all.flatMap((group) => (folded.has(group.key) ? [group] : [group, ...group.rows]));
}

export { Group };
