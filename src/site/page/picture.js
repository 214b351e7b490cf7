// The host as a picture: workloads, the networks and bridges that join them, and what flows between.

import { rate } from "./format.js";
import { drawing, element, say } from "./element.js";

// Who is drawn by himself: the busiest. All others are gathered at their networks.
const WORKLOADS = { wide: 11, narrow: 7 };
const HUBS = { wide: 8, narrow: 5 };

// Who the busiest are is looked at anew after so many ticks.
const PATIENCE = 5;

const SLOT = 25;
const LANE = 4;

// The widest flow, CSS pixels, is the highest there is, but at least this many bytes a second.
const WIDEST = 7.5;
const LOUD = 100_000;

export class Picture {
  chosen = null;
  age = 0;
  width = 0;
  drawn = "";
  parts = { links: new Map(), workloads: new Map(), hubs: new Map() };

  constructor(place, open) {
    this.open = open;
    this.note = element("p", { class: "picture-note" });
    this.svg = drawing("svg", { class: "picture", role: "group", "aria-label": "Workloads and the networks that join them" });
    place.append(this.svg, this.note);
    this.rows = [];
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.show(this.rows, true);
    }).observe(place);
  }

  // Shows these rows; `other` if they are not those of the tick before.
  show(rows, other) {
    this.rows = rows;
    if (this.width < 200) return;
    this.age += 1;
    if (other || this.chosen === null || this.age >= PATIENCE) {
      this.age = 0;
      this.chosen = choose(rows, this.width < 700 ? "narrow" : "wide");
    }
    const scene = gather(rows, this.chosen);
    const shape = JSON.stringify([this.width, scene.workloads.map(({ key, name, row }) => [key, name, row]), scene.hubs.map(({ key, name }) => [key, name]), [...scene.links.keys()]]);
    if (shape !== this.drawn) {
      this.drawn = shape;
      this.draw(scene);
    }
    this.update(scene);
  }

  draw(scene) {
    const size = this.width < 700 ? narrowSize(this.width) : wideSize(this.width);
    place(scene, size);
    const height = Math.max(scene.height, 60);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("height", height);
    // Who has the focus keeps it, drawn anew.
    const [held] = [...this.parts.workloads].find(([, { group }]) => group === document.activeElement) ?? [];
    this.parts = { links: new Map(), workloads: new Map(), hubs: new Map() };
    const links = drawing("g", { class: "links" });
    for (const [key, link] of scene.links) {
      const [into, out] = ["receive", "transmit"].map((direction) => {
        const lane = direction === "receive" ? -LANE : LANE;
        return drawing("path", { class: `flow ${direction}`, d: curve(size.left + 4, link.from + lane, size.right - 4, link.to + lane) });
      });
      links.append(into, out);
      this.parts.links.set(key, { into, out });
    }
    const left = drawing("g", {}, ...scene.workloads.map((node) => this.workload(node, size)));
    const right = drawing("g", {}, ...scene.hubs.map((node) => this.hub(node, size)));
    this.svg.replaceChildren(links, left, right);
    this.parts.workloads.get(held)?.group.focus({ preventScroll: true });
  }

  workload(node, size) {
    const flow = size.rates ? drawing("text", { class: "flowing", x: 0, y: node.y + 4 }) : null;
    const name = drawing("text", { class: "label", x: size.left - 12, y: node.y + 4, "text-anchor": "end" }, cut(node.name, size.letters));
    const bar = drawing("rect", { class: "bar-end", x: size.left - 4, y: node.y - 9, width: 6, height: 18, rx: 3 });
    const act = () => node.row && this.open(this.rows.find((row) => row.key === node.row) ?? null);
    const press = (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), act());
    const active = node.row ? { role: "button", tabindex: "0", click: act, keydown: press, "aria-label": `${node.name}: open` } : {};
    const area = drawing("rect", { class: "hit", x: 0, y: node.y - SLOT / 2, width: size.left + 4, height: SLOT, rx: 5 });
    const group = drawing("g", { class: node.row ? "node" : "node rest", ...active }, drawing("title", {}, node.name), area, flow, name, bar);
    this.parts.workloads.set(node.key, { flow, group });
    return group;
  }

  hub(node, size) {
    const half = Math.max(9, node.span / 2 + 6);
    const bar = drawing("rect", { class: "bar-end", x: size.right - 2, y: node.y - half, width: 6, height: half * 2, rx: 3 });
    const label = drawing("text", { class: "label", x: size.right + 12, y: node.y + (size.rates ? -2 : 4) }, cut(node.name, size.hubLetters));
    const flow = size.rates ? drawing("text", { class: "flowing", x: size.right + 12, y: node.y + 14 }) : null;
    this.parts.hubs.set(node.key, { flow });
    return drawing("g", { class: "node hub" }, drawing("title", {}, node.title), bar, label, flow);
  }

  update(scene) {
    const loudest = Math.max(LOUD, ...[...scene.links.values()].flatMap(({ receive, transmit }) => [receive, transmit]));
    for (const [key, link] of scene.links) {
      const { into, out } = this.parts.links.get(key);
      stroke(into, link.receive / loudest);
      stroke(out, link.transmit / loudest);
    }
    for (const { key, receive, transmit } of scene.workloads) {
      const { flow } = this.parts.workloads.get(key);
      if (flow) say(flow, receive + transmit === 0 ? "" : `↓ ${rate(receive)}  ↑ ${rate(transmit)}`);
    }
    for (const { key, receive, transmit, members } of scene.hubs) {
      const { flow } = this.parts.hubs.get(key);
      if (flow) say(flow, `${members} ${members === 1 ? "workload" : "workloads"}${receive + transmit ? ` · ${rate(receive + transmit)}` : ""}`);
    }
    const { workloads, hubs } = scene.gathered;
    const parts = [workloads && `${workloads} quieter workloads are drawn together`, hubs && `${hubs} quieter networks are drawn as one`].filter(Boolean);
    say(this.note, parts.length ? `${parts.join("; ")}.` : "");
  }
}

// A part of the loudest flow as a width: one that is a hundredth of it can still be told from one that is a thousandth.
function stroke(path, value) {
  const width = 1 + (WIDEST - 1) * value ** 0.4;
  const text = width.toFixed(1);
  if (path.getAttribute("stroke-width") !== text) path.setAttribute("stroke-width", text);
  path.classList.toggle("still", value === 0);
}

function curve(x1, y1, x2, y2) {
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

function wideSize(width) {
  const left = Math.min(350, Math.floor(width * 0.32));
  return { left, right: width - Math.min(260, Math.floor(width * 0.24)), letters: 24, hubLetters: 28, rates: true };
}

function narrowSize(width) {
  return { left: Math.floor(width * 0.38), right: Math.floor(width * 0.68), letters: Math.floor(width / 24), hubLetters: Math.floor(width / 27), rates: false };
}

function cut(name, letters) {
  const all = [...name];
  return all.length <= letters ? name : `${all.slice(0, letters - 1).join("")}…`;
}

// What joins a row's workload to others: its network, else the bridge, else whoever has the port.
function hubOf(row) {
  if (row.network) return { key: `n ${row.network}`, name: row.network, title: row.bridge ? `network ${row.network}, bridge ${row.bridge}` : `network ${row.network}` };
  if (row.bridge) return { key: `b ${row.bridge}`, name: row.bridge, title: `bridge ${row.bridge}` };
  if (row.peer.role === "interface") return { key: "direct", name: "pair between two workloads", title: "pairs straight between two workloads" };
  return row.peer.netns ? { key: `p ${row.peer.netns}`, name: row.peer.netns, title: `ports in ${row.peer.netns}` } : { key: "host", name: "host, routed", title: "ports of the host that no bridge joins" };
}

const workloadKey = (row) => `${row.runtime} ${row.name}`;

// The busiest workloads and hubs.
function choose(rows, room) {
  const [workloads, hubs] = [new Map(), new Map()];
  for (const row of rows) {
    const activity = row.activity;
    const add = (all, key) => all.set(key, (all.get(key) ?? 0) + activity);
    add(workloads, workloadKey(row));
    add(hubs, hubOf(row).key);
  }
  const busiest = (all, most) => {
    const sorted = [...all].sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
    // One that would stand for a single one is drawn by itself.
    return sorted.slice(0, sorted.length === most + 1 ? most + 1 : most).map(([key]) => key);
  };
  return { workloads: new Set(busiest(workloads, WORKLOADS[room])), hubs: new Set(busiest(hubs, HUBS[room])) };
}

const REST = "rest";

// Nodes and links, with what flows now.
function gather(rows, chosen) {
  const [workloads, hubs, links] = [new Map(), new Map(), new Map()];
  const [restWorkloads, restHubs] = [new Map(), new Set()];
  for (const row of rows) {
    const joined = hubOf(row);
    const own = chosen.hubs.has(joined.key);
    if (!own) restHubs.add(joined.key);
    const hub = found(hubs, own ? joined.key : REST, () => ({ ...(own ? joined : { name: "other networks", title: "quieter networks" }), workloads: new Set() }));
    hub.workloads.add(workloadKey(row));
    const alone = chosen.workloads.has(workloadKey(row));
    const key = alone ? workloadKey(row) : `${REST} ${hub.key}`;
    const workload = found(workloads, key, () => ({ name: row.name, row: alone ? row.key : null, hub: hub.key, together: new Set() }));
    if (!alone) {
      workload.together.add(workloadKey(row));
      restWorkloads.set(workloadKey(row), true);
    }
    const link = found(links, `${key}\n${hub.key}`, () => ({ workload, hub }));
    for (const sum of [hub, workload, link]) {
      sum.receive += row.receive ?? 0;
      sum.transmit += row.transmit ?? 0;
      sum.activity += row.activity;
    }
  }
  for (const workload of workloads.values()) {
    if (workload.row === null) workload.name = `${workload.together.size} others`;
  }
  for (const hub of hubs.values()) {
    hub.members = hub.workloads.size;
    if (hub.key === REST) hub.name = `${restHubs.size} other networks`;
  }
  const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
  const order = [...hubs.values()].sort((a, b) => (a.key === REST) - (b.key === REST) || byName(a, b));
  const rank = new Map(order.map((hub, index) => [hub.key, index]));
  const sorted = [...workloads.values()].sort((a, b) => rank.get(a.hub) - rank.get(b.hub) || (a.row === null) - (b.row === null) || byName(a, b));
  return { workloads: sorted, hubs: order, links, gathered: { workloads: restWorkloads.size, hubs: restHubs.size } };
}

function found(all, key, make) {
  let node = all.get(key);
  if (!node) {
    node = { key, receive: 0, transmit: 0, activity: 0, ...make(), key };
    all.set(key, node);
  }
  return node;
}

// Where all is: workloads in slots on the left; hubs on the right, as near to theirs as they can be.
function place(scene, size) {
  scene.workloads.forEach((node, index) => {
    node.y = SLOT * (index + 0.5) + 4;
  });
  const lanes = new Map(scene.hubs.map((hub) => [hub.key, []]));
  for (const link of scene.links.values()) {
    link.from = link.workload.y;
    lanes.get(link.hub.key).push(link);
  }
  const least = size.rates ? 44 : 30;
  let below = 4;
  for (const hub of scene.hubs) {
    const own = lanes.get(hub.key).sort((a, b) => a.from - b.from);
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
  scene.height = Math.max(SLOT * scene.workloads.length + 8, below + 4);
}
