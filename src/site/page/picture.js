// The host as a picture: workloads on the left, networks on the right, ribbons between them. A click on either searches it.

import { harmless, rate } from "./format.js";
import { drawing, element, say, set } from "./element.js";
import { choose, gather, place } from "./scene.js";

// The busiest are chosen anew after this many ticks.
const PATIENCE = 5;

const LANE = 4;

// The widest ribbon, CSS pixels, has the highest rate there is, but at least this many bytes a second.
const WIDEST = 7.5;
const LOUD = 100_000;

export class Picture {
  chosen = null;
  age = 0;
  width = 0;
  drawn = "";
  rows = [];
  search = "";
  parts = { links: new Map(), nodes: new Map(), hubs: new Map() };
  // The key of the node that the tab key reaches; the arrow keys lead to the others.
  stop = null;

  // `find` searches a text.
  constructor(frame, find) {
    this.find = find;
    this.note = element("p", { class: "picture-note" });
    this.svg = drawing("svg", { class: "picture", role: "group", "aria-label": "Workloads and the networks that join them: the arrow keys lead from one to the next", keydown: (event) => this.key(event) });
    frame.append(this.svg, this.note);
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.show(this.rows, this.search, true);
    }).observe(frame);
  }

  // Shows these rows, which a search has found; `other` if they are not those of the tick before.
  show(rows, search, other) {
    this.rows = rows;
    const searched = search !== this.search;
    this.search = search;
    if (this.width < 200) return;
    this.age += 1;
    if (other || searched || this.chosen === null || this.age >= PATIENCE) {
      this.age = 0;
      this.chosen = choose(rows, this.width < 700 ? "narrow" : "wide");
    }
    const scene = gather(rows, this.chosen);
    const shape = JSON.stringify([this.width, search, scene.workloads.map(({ key, name, severity }) => [key, name, severity]), scene.hubs.map(({ key, name }) => [key, name]), [...scene.links.keys()]]);
    if (shape !== this.drawn) {
      this.drawn = shape;
      this.draw(scene);
    }
    this.update(scene);
  }

  draw(scene) {
    const size = this.width < 700 ? narrowSize(this.width) : wideSize(this.width);
    place(scene, size);
    set(this.svg, "viewBox", `0 0 ${this.width} ${scene.height}`);
    set(this.svg, "width", this.width);
    set(this.svg, "height", scene.height);
    // The node with the focus keeps it when it is drawn anew.
    const [held] = [...this.parts.nodes].find(([, group]) => group === document.activeElement) ?? [];
    this.parts = { links: new Map(), nodes: new Map(), hubs: new Map() };
    const links = drawing("g", { class: "links" });
    for (const [key, link] of scene.links) {
      const [into, out] = ["receive", "transmit"].map((direction) => {
        const lane = direction === "receive" ? -LANE : LANE;
        return drawing("path", { class: `flow ${direction}`, d: curve(size.left + 4, link.from + lane, size.right - 4, link.to + lane) });
      });
      const flow = drawing("text", size.rates
        ? { class: "flowing", x: size.left - 12, y: link.from + 4, "text-anchor": "end" }
        : { class: "flowing", x: 0, y: link.from + 15 });
      links.append(into, out);
      this.parts.links.set(key, { into, out, flow });
    }
    const left = drawing("g", {}, ...scene.workloads.map((node) => this.workload(node, size)));
    const right = drawing("g", {}, ...scene.hubs.map((node) => this.hub(node, size)));
    this.svg.replaceChildren(links, left, right, ...[...this.parts.links.values()].map(({ flow }) => flow));
    if (!this.parts.nodes.has(this.stop)) this.stop = this.parts.nodes.keys().next().value ?? null;
    this.tabs();
    this.parts.nodes.get(held)?.focus({ preventScroll: true });
  }

  // Only one node is reached by the tab key, so that the table is not behind all of them.
  tabs() {
    for (const [key, group] of this.parts.nodes) set(group, "tabindex", key === this.stop ? "0" : "-1");
  }

  // Returns the attributes of a node that can be chosen.
  active(key, node, what) {
    if (node.search === null) return {};
    const act = () => this.find(this.search === node.search ? "" : node.search);
    const press = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      act();
    };
    return { role: "button", click: act, keydown: press, "aria-pressed": String(this.search === node.search), "aria-label": `Search the ${what} ${node.name}`, focus: () => { this.stop = key; this.tabs(); } };
  }

  workload(node, size) {
    const middle = node.top + size.line / 2;
    const x = size.rates ? size.left - 12 - size.flow : 0;
    const name = drawing("text", { class: "label", x, y: size.rates ? middle + 4 : middle + 1, "text-anchor": size.rates ? "end" : "start" }, `${node.severity ? "▲ " : ""}${cut(node.name, size.names - (node.severity ? 18 : 0))}`);
    const bar = drawing("rect", { class: "bar-end", x: size.left - 4, y: node.top + 3, width: 6, height: node.height - 6, rx: 3 });
    const area = drawing("rect", { class: "hit", x: 0, y: node.top, width: size.left + 4, height: node.height, rx: 5 });
    const group = drawing("g", { class: `node ${node.search === null ? "rest" : ""} ${node.severity ? "troubled" : ""}`, ...this.active(node.key, node, "workload") }, drawing("title", {}, node.name), area, name, bar);
    if (node.search !== null) this.parts.nodes.set(node.key, group);
    return group;
  }

  hub(node, size) {
    const half = Math.max(9, node.span / 2 + 6);
    const bar = drawing("rect", { class: "bar-end", x: size.right - 2, y: node.y - half, width: 6, height: half * 2, rx: 3 });
    const area = drawing("rect", { class: "hit", x: size.right - 4, y: node.y - Math.max(half, 16), width: this.width - size.right + 4, height: Math.max(half, 16) * 2, rx: 5 });
    const label = drawing("text", { class: "label", x: size.right + 12, y: node.y - 2 }, cut(node.name, size.hubs));
    const flow = drawing("text", { class: "flowing", x: size.right + 12, y: node.y + 13 });
    this.parts.hubs.set(node.key, flow);
    const key = `hub ${node.key}`;
    const group = drawing("g", { class: "node hub", ...this.active(key, node, "network") }, drawing("title", {}, node.title), area, bar, label, flow);
    if (node.search !== null) this.parts.nodes.set(key, group);
    return group;
  }

  update(scene) {
    let loudest = LOUD;
    for (const { receive, transmit } of scene.links.values()) loudest = Math.max(loudest, receive, transmit);
    const isNarrow = this.width < 700;
    for (const [key, { receive, transmit }] of scene.links) {
      const { into, out, flow } = this.parts.links.get(key);
      stroke(into, receive / loudest);
      stroke(out, transmit / loudest);
      say(flow, receive + transmit === 0 ? "" : `↓ ${rate(receive)}  ↑ ${rate(transmit)}`);
    }
    for (const { key, receive, transmit, members } of scene.hubs) {
      const flowing = receive + transmit ? rate(receive + transmit) : "";
      say(this.parts.hubs.get(key), isNarrow ? flowing : [`${members} ${members === 1 ? "workload" : "workloads"}`, flowing].filter(Boolean).join(" · "));
    }
    const { workloads, hubs } = scene.gathered;
    const parts = [workloads && `${workloads} quieter workloads are drawn together`, hubs && `${hubs} quieter networks are drawn as one`].filter(Boolean);
    say(this.note, parts.length ? `${parts.join("; ")}.` : "");
  }

  key(event) {
    const keys = [...this.parts.nodes.keys()];
    const at = keys.indexOf(this.stop);
    const steps = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: keys.length - 1 };
    if (!(event.key in steps) || !keys.length) return;
    event.preventDefault();
    this.parts.nodes.get(keys[Math.min(keys.length - 1, Math.max(0, steps[event.key]))]).focus();
  }
}

// Sets a ribbon's width by its part of the loudest: a hundredth can still be told from a thousandth.
function stroke(path, value) {
  set(path, "stroke-width", (1 + (WIDEST - 1) * value ** 0.4).toFixed(1));
  path.classList.toggle("still", value === 0);
}

function curve(x1, y1, x2, y2) {
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

// In CSS pixels: where the ribbons begin and end, the room for names of workloads and of networks, the width of a ribbon's
// rates, the height of a ribbon's line on the left, and the least height of a network.
function wideSize(width) {
  const left = Math.min(430, Math.floor(width * 0.4));
  const right = width - Math.min(280, Math.floor(width * 0.24));
  return { left, right, names: left - 174, hubs: width - right - 14, rates: true, flow: 158, line: 23, least: 44 };
}

function narrowSize(width) {
  const [left, right] = [Math.floor(width * 0.46), Math.floor(width * 0.7)];
  return { left, right, names: left - 12, hubs: width - right - 14, rates: false, flow: 0, line: 36, least: 40 };
}

const measure = document.createElement("canvas").getContext("2d");
let font = "";

// Returns as much of a name as has room in this width, CSS pixels.
function cut(name, width) {
  if (!font) measure.font = font = `600 12.5px ${getComputedStyle(document.body).fontFamily}`;
  const text = harmless(name);
  if (measure.measureText(text).width <= width) return text;
  const all = [...text];
  let [fits, over] = [1, all.length];
  while (over - fits > 1) {
    const middle = (fits + over) >> 1;
    if (measure.measureText(`${all.slice(0, middle).join("")}…`).width <= width) fits = middle;
    else over = middle;
  }
  return `${all.slice(0, fits).join("")}…`;
}
