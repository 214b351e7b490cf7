// The link to what the page shows: its search, order, grouping, columns and open row are in the URL's query.

import { column, COLUMNS, USUAL } from "./columns.js";
import { isGrouping } from "./grouping.js";

// The longest search or key that a link may have.
const LONGEST = 1024;

// A browser limits how often a script may change the URL.
const PAUSE = 300;

const KNOWN = ["q", "sort", "desc", "group", "columns", "row"];

export const USUAL_SORT = { key: "activity", falling: true };

// Reads a query. Returns what it asks for, each part null if the link has none, and sentences about the parts that mean nothing.
export function read(query) {
  const given = new URLSearchParams(query);
  const faults = [];
  const value = (name, means, fault) => {
    const text = given.get(name);
    if (text === null) return null;
    if (text.length <= LONGEST && means(text)) return text;
    faults.push(fault(text.length > 60 ? `${text.slice(0, 60)}…` : text));
    return null;
  };
  const unknown = [...new Set(given.keys())].filter((name) => !KNOWN.includes(name));
  if (unknown.length) faults.push(`The page has no parameter ${unknown.slice(0, 5).map((name) => `“${name.slice(0, 40)}”`).join(", ")}.`);
  const q = value("q", () => true, () => `The search is longer than ${LONGEST} characters.`);
  const key = value("sort", (text) => column(text) !== undefined, (text) => `The table has no column “${text}” to sort by; it has ${COLUMNS.map((one) => one.key).join(", ")}.`);
  const desc = value("desc", (text) => text === "0" || text === "1", (text) => `desc is “${text}”, and not 0 or 1.`);
  const group = value("group", (text) => text === "" || isGrouping(text), (text) => `The table has no grouping “${text}”; it has project, network, workload.`);
  const names = value("columns", () => true, () => `The list of columns is longer than ${LONGEST} characters.`);
  const columns = names === null ? null : names.split(",").filter((name) => column(name) !== undefined);
  const strange = names === null ? [] : names.split(",").filter((name) => name !== "" && column(name) === undefined);
  if (strange.length) faults.push(`The table has no column ${strange.slice(0, 5).map((name) => `“${name.slice(0, 40)}”`).join(", ")}; it has ${COLUMNS.map((one) => one.key).join(", ")}.`);
  const row = value("row", (text) => text !== "", () => "The link names no row that can exist.");
  const sort = key === null && desc === null ? null : order(key ?? USUAL_SORT.key, desc);
  return { q, sort, group, columns: columns?.length ? columns : null, row, faults };
}

// A link that names a column and no direction means the one that a click on the column gives first.
function order(key, desc) {
  return { key, falling: desc === null ? Boolean(column(key).number) : desc === "1" };
}

// Returns the query of a state; what is as usual has no part in it.
export function write({ q, sort, group, columns, row }) {
  const parts = [];
  // A slash needs no escape in a query, and a key is legible with it.
  const add = (name, text) => parts.push(`${name}=${encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%2C", ",")}`);
  if (q) add("q", q);
  if (sort.key !== USUAL_SORT.key || sort.falling !== USUAL_SORT.falling) {
    add("sort", sort.key);
    add("desc", sort.falling ? "1" : "0");
  }
  if (group) add("group", group);
  if (columns.join() !== USUAL.join()) add("columns", columns.join(","));
  if (row) add("row", row);
  return parts.length ? `?${parts.join("&")}` : "";
}

// Keeps the browser's URL as the page is.
export class Permalink {
  timer = 0;
  wanted = null;

  // Shows a state in the URL, soon.
  show(state) {
    this.wanted = write(state);
    if (this.timer === 0) this.timer = setTimeout(() => this.replace(), PAUSE);
  }

  replace() {
    this.timer = 0;
    if (this.wanted === location.search) return;
    try {
      history.replaceState(null, "", `${location.pathname}${this.wanted}`);
    } catch {
      // The browser allows no more changes for now; the next change of the page tries again.
    }
  }
}
