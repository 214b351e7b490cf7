// The page: takes what the stream tells, and shows it once for each picture that the browser draws.

import { rate } from "./format.js";
import { say } from "./element.js";
import { Detail } from "./detail.js";
import { Model } from "./model.js";
import { Notices } from "./notice.js";
import { Picture } from "./picture.js";
import { follow } from "./stream.js";
import { Table } from "./table.js";

const by = (id) => document.getElementById(id);

const model = new Model();
// What is shown: as it was when the page was paused, else the model itself.
let shown = model;
let link = "connecting";
let refusal = null;
let restarted = null;
let others = true;
let due = false;

const detail = new Detail(by("detail"), () => {
  // Whence it was opened may be gone.
  if (document.activeElement === document.body) table.grid.focus({ preventScroll: true });
  table.draw();
});
const open = (row) => row && detail.open(row);
const table = new Table(by("table"), { open, changed: () => draw() });
const picture = new Picture(by("picture"), open);
const notices = new Notices(by("notices"));

// ---------------------------------------------------------------- what there is to see

const LINKS = { connecting: "Connecting", live: "Live", lost: "Not connected, trying again" };

function draw() {
  due = false;
  const paused = shown !== model;
  const state = link === "live" && paused ? "paused" : link;
  by("live").dataset.state = state;
  say(by("live"), state === "paused" ? "Paused" : LINKS[link]);
  document.body.classList.toggle("stale", link === "lost");
  notices.show(shown, restarted, refusal);
  if (model.exporter === null) return;
  const none = shown.rows.length === 0;
  by("picture-card").hidden = none;
  by("pairs").hidden = none;
  const { receive, transmit } = shown.sums();
  say(by("sum-pairs"), shown.pairs.size.toLocaleString("en"));
  say(by("sum-receive"), rate(receive));
  say(by("sum-transmit"), rate(transmit));
  table.take(shown.rows);
  say(by("count"), table.terms.length ? `${table.rows.length} of ${shown.rows.length}` : shown.rows.length.toLocaleString("en"));
  picture.show(shown.rows, others);
  others = false;
  detail.update(shown.rows, shown.time);
}

function wish() {
  if (due) return;
  due = true;
  requestAnimationFrame(draw);
}

follow({
  link(now, reason = null) {
    link = now;
    // While it is asked again the reason stays.
    if (reason !== null || now === "live") refusal = reason;
    wish();
  },
  state(state) {
    if (model.takeState(state)) {
      restarted = state.time;
      // What was stopped is another exporter's.
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

// ---------------------------------------------------------------- what one can do

function pause(on) {
  shown = on ? model.frozen() : model;
  others = true;
  by("pause").setAttribute("aria-pressed", String(on));
  say(by("pause"), on ? "Go on" : "Pause");
  wish();
}

by("pause").addEventListener("click", () => pause(shown === model));

const search = by("search");
search.addEventListener("input", () => {
  table.terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  draw();
});
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    table.active = table.rows[0]?.key ?? null;
    table.grid.focus();
    table.draw();
  }
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    if (detail.isOpen) detail.close();
    else if (search.value) {
      search.value = "";
      search.dispatchEvent(new Event("input"));
    } else if (typing) search.blur();
    return;
  }
  if (typing) return;
  if (event.key === "/") {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "p") {
    pause(shown === model);
  }
});

// Dark or light as the system has it, until somebody wants it otherwise here.
const dark = matchMedia("(prefers-color-scheme: dark)");
const wanted = kept(() => localStorage.getItem("theme"));
if (wanted === "dark" || wanted === "light") document.documentElement.dataset.theme = wanted;
by("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  kept(() => localStorage.setItem("theme", next));
});

// A browser that is to keep nothing throws for the question alone; then the choice lasts as long as the page.
function kept(ask) {
  try {
    return ask();
  } catch {
    return null;
  }
}
