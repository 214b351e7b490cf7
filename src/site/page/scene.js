// What the picture shows: the busiest workloads, the networks and bridges that join them, and what flows between.

// The numbers of workloads and of networks that are drawn by themselves; the others are gathered.
const WORKLOADS = { wide: 7, narrow: 5 };
const HUBS = { wide: 8, narrow: 5 };

const REST = "rest";

const NAMES = new Intl.Collator(undefined, { numeric: true });

const joints = new WeakMap();

// Returns the key of a row's workload, and what joins it to others; a row's names never change.
function joint(row) {
  let made = joints.get(row);
  if (!made) joints.set(row, (made = { key: `${row.runtime} ${row.name}`, hub: hubOf(row) }));
  return made;
}

// Returns what joins a row's workload to others: its network, else the bridge, else the place of the port. `search` is the
// text that finds the rows of it; null if no text does.
function hubOf(row) {
  const { network, bridge, peer } = row;
  if (network) return { key: `n ${network}`, name: network, search: network, title: bridge ? `network ${network}, bridge ${bridge}` : `network ${network}` };
  if (bridge) return { key: `b ${bridge}`, name: bridge, search: bridge, title: `bridge ${bridge}` };
  if (peer.role === "interface") return { key: "direct", name: "pair between two workloads", search: null, title: "pairs between two workloads" };
  if (peer.netns) return { key: `p ${peer.netns}`, name: peer.netns, search: peer.netns, title: `ports in ${peer.netns}` };
  return { key: "host", name: "host, routed", search: null, title: "ports of the host without a bridge" };
}

// Chooses the busiest workloads and networks; `room` is wide or narrow.
export function choose(rows, room) {
  const [workloads, hubs] = [new Map(), new Map()];
  for (const row of rows) {
    // A workload with a problem is drawn before any other.
    const weight = row.activity + row.severity * 1e15;
    const add = (all, key) => all.set(key, (all.get(key) ?? 0) + weight);
    const { key, hub } = joint(row);
    add(workloads, key);
    add(hubs, hub.key);
  }
  const busiest = (all, most) => {
    const sorted = [...all].sort(([a, x], [b, y]) => y - x || NAMES.compare(a, b));
    // A gathered node for a single one has no use.
    return sorted.slice(0, sorted.length === most + 1 ? most + 1 : most).map(([key]) => key);
  };
  return { workloads: new Set(busiest(workloads, WORKLOADS[room])), hubs: new Set(busiest(hubs, HUBS[room])) };
}

// Returns nodes and links, with what flows now.
export function gather(rows, chosen) {
  const [workloads, hubs, links] = [new Map(), new Map(), new Map()];
  const [restWorkloads, restHubs] = [new Set(), new Set()];
  for (const row of rows) {
    const { key: name, hub: joined } = joint(row);
    const own = chosen.hubs.has(joined.key);
    if (!own) restHubs.add(joined.key);
    const hub = found(hubs, own ? joined.key : REST, () => ({ ...(own ? joined : { name: "", search: null, title: "quieter networks" }), workloads: new Set() }));
    hub.workloads.add(name);
    const alone = chosen.workloads.has(name);
    const key = alone ? name : `${REST} ${hub.key}`;
    const workload = found(workloads, key, () => ({ name: row.name, search: alone ? row.name : null, hub: hub.key, together: new Set(), severity: 0 }));
    if (!alone) {
      workload.together.add(name);
      restWorkloads.add(name);
    }
    workload.severity = Math.max(workload.severity, row.severity);
    const link = found(links, `${key}\n${hub.key}`, () => ({ workload, hub }));
    for (const sum of [hub, workload, link]) {
      sum.receive += row.receive ?? 0;
      sum.transmit += row.transmit ?? 0;
    }
  }
  for (const workload of workloads.values()) {
    workload.links = [...links.values()].filter((link) => link.workload === workload);
    if (workload.search === null) workload.name = `${workload.together.size} other${workload.together.size === 1 ? "" : "s"}`;
  }
  for (const hub of hubs.values()) {
    hub.members = hub.workloads.size;
    if (hub.key === REST) hub.name = `${restHubs.size} other networks`;
  }
  const byName = (one, other) => NAMES.compare(one.name, other.name);
  const order = [...hubs.values()].sort((one, other) => (one.key === REST) - (other.key === REST) || byName(one, other));
  const rank = new Map(order.map((hub, index) => [hub.key, index]));
  const sorted = [...workloads.values()].sort((one, other) => rank.get(one.hub) - rank.get(other.hub) || (one.search === null) - (other.search === null) || byName(one, other));
  return { workloads: sorted, hubs: order, links, gathered: { workloads: restWorkloads.size, hubs: restHubs.size } };
}

function found(all, key, make) {
  let node = all.get(key);
  if (!node) {
    node = { receive: 0, transmit: 0, ...make(), key };
    all.set(key, node);
  }
  return node;
}

// Gives each node its place: on the left a workload has a line for each of its links; on the right each network is as near
// to its links as the networks before it allow.
export function place(scene, { line, least }) {
  let next = 4;
  for (const workload of scene.workloads) {
    workload.top = next;
    for (const link of workload.links) {
      link.from = next + line / 2;
      next += line;
    }
    workload.height = next - workload.top;
  }
  let below = 4;
  for (const hub of scene.hubs) {
    const own = [...scene.links.values()].filter((link) => link.hub === hub).sort((one, other) => one.from - other.from);
    const mean = own.reduce((sum, link) => sum + link.from, 0) / Math.max(1, own.length);
    const gap = Math.min(14, 4 + 40 / Math.max(1, own.length));
    hub.span = gap * (own.length - 1) + 10;
    const height = Math.max(least, hub.span + 20);
    hub.y = Math.max(below + height / 2, mean);
    below = hub.y + height / 2;
    own.forEach((link, index) => {
      link.to = hub.y + gap * (index - (own.length - 1) / 2);
    });
  }
  scene.height = Math.max(60, next + 4, below + 4);
}
