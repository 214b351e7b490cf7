// The last ticks of a row as a small picture: an area for what it receives, a line for what it sends.

import { drawing } from "./element.js";
import { HISTORY } from "./model.js";

// Below this many bytes a second the picture does not fill its height: what nobody would call traffic stays small.
const LEAST = 1000;

export class Sparkline {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.area = drawing("path", { class: "receive-area" });
    this.into = drawing("path", { class: "receive-line" });
    this.out = drawing("path", { class: "transmit-line" });
    this.node = drawing(
      "svg",
      { class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.area, this.into, this.out,
    );
  }

  // Draws the two histories; returns the highest value, which is at the upper edge.
  draw([receive, transmit]) {
    const top = Math.max(LEAST, ...receive, ...transmit);
    const into = this.line(receive, top);
    this.area.setAttribute("d", into ? `${into}V${this.height}H${this.left(receive)}Z` : "");
    this.into.setAttribute("d", into);
    this.out.setAttribute("d", this.line(transmit, top));
    return top;
  }

  left(values) {
    return this.at(HISTORY - values.length);
  }

  at(place) {
    return ((place * this.width) / (HISTORY - 1)).toFixed(1);
  }

  line(values, top) {
    const from = HISTORY - values.length;
    const room = this.height - 2;
    const points = values.map((value, index) => `${this.at(from + index)} ${(1 + room * (1 - value / top)).toFixed(1)}`);
    return points.length < 2 ? "" : `M${points.join("L")}`;
  }
}
