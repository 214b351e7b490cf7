// The page: takes what the stream reports, and shows it at most once for each frame of the browser.

import { Choices, keptColumns } from "./choices.js";
import { USUAL } from "./columns.js";
import { Detail } from "./detail.js";
import { by, say } from "./element.js";
import { Events } from "./events.js";
import * as head from "./head.js";
import { listen } from "./keys.js";
import { Model } from "./model.js";
import { Notices } from "./notice.js";
import { Permalink, read, USUAL_SORT } from "./permalink.js";
import { Picture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { Problems } from "./problems.js";
import { terms } from "./search.js";
import { load, save } from "./store.js";
import { follow } from "./stream.js";
import { Table } from "./table.js";
import { Workloads } from "./workloads.js";

// A browser gives a hidden tab no frames; its title still has to say how many problems there are.
const LATEST = 500;

// Above this many workloads, and in a narrow window, the picture starts folded: the rows come first.
const CROWD = 100;
const narrow = matchMedia("(max-width: 760px)");

const model = new Model();
// The model that is shown: a copy while the page is paused.
let shown = model;
let link = "connecting";
let refusal = null;
let restarted = null;
let others = true;
let frame = 0;
let timer = 0;

const linked = read(location.search);
let faults = linked.faults;
// The row of the link, until the first state of the exporter has it or not.
let wanted = linked.row;

const detail = new Detail(by("detail"), () => {
  // The element from which the details were opened may have gone.
  if (document.activeElement === document.body) table.grid.focus({ preventScroll: true });
  draw();
});
const open = (row) => {
  if (!row) return;
  detail.open(row, shown);
  remember();
};
const table = new Table(by("table"), { open, changed: () => draw() });
table.columns = linked.columns ?? keptColumns() ?? USUAL;
table.sort = linked.sort ?? USUAL_SORT;
table.group = linked.group ?? "";
const choices = new Choices(table, () => draw());
const picture = new Picture(by("picture"), find);
const notices = new Notices(by("notices"));
const problems = new Problems(by("problems"), { lead, leads });
const workloads = new Workloads(by("workloads"), { owner: (key) => goTo(shown.find(key)) });
const events = new Events(by("events"), { open: goTo });
const permalink = new Permalink();
const pointer = new Pointer(wish);

const search = by("search");
search.value = linked.q ?? "";
table.terms = terms(search.value);
table.layOut();

// ---------------------------------------------------------------- what the page shows

const LINKS = { connecting: "Connecting", live: "Live", lost: "Not connected, trying again" };

function showLink() {
  const state = link === "live" && shown !== model ? "paused" : link;
  if (by("live").dataset.state !== state) by("live").dataset.state = state;
  say(by("live"), state === "paused" ? "Paused" : LINKS[link]);
  document.body.classList.toggle("stale", link === "lost");
}

function draw() {
  cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = timer = 0;
  showLink();
  notices.show(shown, { restarted, refusal, faults, dismiss });
  if (model.exporter === null) return;
  const none = shown.rows.length === 0;
  by("picture-card").hidden = none;
  by("pairs").hidden = none;
  head.show(shown);
  problems.show(shown);
  table.take(shown.rows);
  say(by("count"), table.terms.length ? `${table.rows.length} of ${shown.rows.length}` : shown.rows.length.toLocaleString("en"));
  if (folded === null) foldPicture(head.counts(shown).workloads > CROWD || narrow.matches);
  if (!isFolded) picture.show(table.rows, search.value.trim(), others);
  others = false;
  workloads.show(shown, table.terms, table.rows.length === 0);
  events.show(shown, table.terms);
  table.draw();
  if (wanted !== null) followLink();
  detail.update(shown);
  remember();
}

// Asks for a drawing of the page at the next frame; while a button of the pointer is held nothing moves under it.
function wish() {
  if (frame !== 0 || pointer.isHeld) return;
  frame = requestAnimationFrame(drawUnlessHeld);
  timer = setTimeout(drawUnlessHeld, LATEST);
}

function drawUnlessHeld() {
  if (!pointer.isHeld) return void draw();
  cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = timer = 0;
}

function remember() {
  if (wanted !== null) return;
  permalink.show({ q: search.value, sort: table.sort, group: table.group, columns: table.columns, row: detail.row?.key ?? null });
}

function dismiss() {
  faults = [];
  draw();
}

// Opens the row of the link.
function followLink() {
  const key = wanted;
  wanted = null;
  const row = shown.find(key);
  if (row === null) {
    faults = [...faults, `No pair is called “${key.length > 120 ? `${key.slice(0, 120)}…` : key}” now; it may have gone.`];
    wish();
    return;
  }
  table.reveal(row);
  detail.open(row, shown, false);
}

follow({
  link(now, reason = null) {
    link = now;
    // The reason stays while the page tries again.
    if (reason !== null || now === "live") refusal = reason;
    showLink();
    wish();
  },
  state(state) {
    if (model.takeState(state)) {
      restarted = state.time;
      // A paused view is the former exporter's.
      pause(false);
    }
    others = true;
    wish();
  },
  tick(tick) {
    others = model.takeTick(tick) || others;
    if (shown === model) wish();
  },
});

// ---------------------------------------------------------------- what a person does

function pause(on) {
  shown = on ? model.frozen() : model;
  detail.totals.paused = on;
  others = true;
  by("pause").setAttribute("aria-pressed", String(on));
  say(by("pause"), on ? "Go on" : "Pause");
  wish();
}

by("pause").addEventListener("click", () => pause(shown === model));

// Searches a text.
function find(text) {
  search.value = text;
  search.dispatchEvent(new Event("input"));
}

// Leads to a row, and opens it; a search that hides the row ends.
function goTo(row) {
  if (!row) return;
  if (!row.matches(table.terms)) find("");
  table.reveal(row);
  open(row);
}

const rowOf = ({ pairs, subject }) => shown.rows.find((row) => (pairs ?? []).includes(row.pair.id) && (!subject?.workload || row.name === subject.workload)) ?? shown.rows.find((row) => (pairs ?? []).includes(row.pair.id)) ?? null;

function leads(problem) {
  const { kind, subject } = problem;
  return rowOf(problem) !== null || kind === "source" || shown.workloads.some((workload) => workload.runtime === subject?.runtime && subject?.workload);
}

function lead(problem) {
  const row = rowOf(problem);
  if (row) return goTo(row);
  const { kind, subject = {} } = problem;
  if (kind === "source") return void notices.lead(subject.collector ?? "");
  find("");
  return void workloads.lead(subject.runtime, subject.workload);
}

search.addEventListener("input", () => {
  table.terms = terms(search.value);
  draw();
});
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    table.choose(table.entries[0]?.key ?? null);
    table.grid.focus();
  }
});

listen({
  escape(typing) {
    if (detail.isOpen) detail.close();
    else if (search.value) find("");
    else if (typing) document.activeElement.blur();
  },
  search() {
    search.focus();
    search.select();
  },
  pause: () => pause(shown === model),
  sort: (key) => table.sortBy(key),
  group: () => choices.next(),
  row(event) {
    // With no row chosen the focus chooses the first one, which is what the key down means then.
    const fresh = table.active === null;
    table.grid.focus({ preventScroll: true });
    return (fresh && event.key === "ArrowDown") || table.act(event);
  },
});

// The choice to fold the picture; null until there is one.
let folded = { yes: true, no: false }[load("folded")] ?? null;
let isFolded = null;

function foldPicture(on) {
  if (isFolded === on) return;
  isFolded = on;
  by("picture").hidden = on;
  by("fold").setAttribute("aria-expanded", String(!on));
}
if (folded !== null) foldPicture(folded);
by("fold").addEventListener("click", () => {
  foldPicture(!isFolded);
  folded = isFolded;
  save("folded", folded ? "yes" : "no");
  others = true;
  draw();
});

// Dark or light as the system has it, unless the page has a choice of its own.
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = load("theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
by("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  save("theme", next);
});
