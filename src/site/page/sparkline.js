// The last ticks of a row as a small picture: an area for what it receives, a line for what it sends.

import { drawing } from "./element.js";
import { LENGTH } from "./history.js";

// Below this many bytes a second the curves do not fill the height: a trickle stays small.
const LEAST = 1000;

const WIDTH = 150;
const HEIGHT = 26;

// The coordinates as text, in steps of a tenth of a pixel: formatting them anew takes most of the time of a drawing.
const ACROSS = Array.from({ length: LENGTH }, (_, index) => ((index * WIDTH) / (LENGTH - 1)).toFixed(1));
const DOWN = Array.from({ length: HEIGHT * 10 + 1 }, (_, tenths) => (tenths / 10).toFixed(1));

export class Sparkline {
  constructor() {
    this.area = drawing("path", { class: "receive-area" });
    this.into = drawing("path", { class: "receive-line" });
    this.out = drawing("path", { class: "transmit-line" });
    this.node = drawing(
      "svg",
      { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.area, this.into, this.out,
    );
  }

  // Draws the two histories; the highest value is at the upper edge.
  draw([receive, transmit]) {
    let top = LEAST;
    for (const value of receive) top = Math.max(top, value);
    for (const value of transmit) top = Math.max(top, value);
    const into = line(receive, top);
    this.area.setAttribute("d", into ? `${into}V${HEIGHT}H${ACROSS[LENGTH - receive.length]}Z` : "");
    this.into.setAttribute("d", into);
    this.out.setAttribute("d", line(transmit, top));
  }
}

function line(values, top) {
  const from = LENGTH - values.length;
  if (values.length < 2) return "";
  let path = "M";
  for (let index = 0; index < values.length; index += 1) {
    const down = Math.round(10 + 10 * (HEIGHT - 2) * (1 - values[index] / top));
    path += `${index ? "L" : ""}${ACROSS[from + index]} ${DOWN[down]}`;
  }
  return path;
}
