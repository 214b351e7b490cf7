// The traffic of a workload's interface over time: the last ticks, and the last hour in half minutes.

// The number of values that each of the two has.
export const LENGTH = 120;

const HALF_MINUTE = 30;

// A row's activity is the mean of this many ticks, so that rows sorted by it stay in place.
const STEADY = 5;

// The rate that each byte of a sent history stands for: steps of 10 %.
const RATES = Array.from({ length: 256 }, (_, byte) => (byte === 0 ? 0 : Math.max(byte, Math.round(1.1 ** (byte - 1)))));

// The last values of both directions, bytes a second.
class Ring {
  receive = new Float32Array(LENGTH);
  transmit = new Float32Array(LENGTH);
  length = 0;
  next = 0;

  push(receive, transmit) {
    this.receive[this.next] = receive;
    this.transmit[this.next] = transmit;
    this.next = (this.next + 1) % LENGTH;
    this.length = Math.min(this.length + 1, LENGTH);
  }

  copy() {
    const { receive, transmit, length, next } = this;
    return Object.assign(new Ring(), { receive: receive.slice(), transmit: transmit.slice(), length, next });
  }

  // Returns one direction, the oldest value first.
  values(direction) {
    const all = this[direction];
    const start = (this.next - this.length + LENGTH) % LENGTH;
    return Array.from({ length: this.length }, (_, index) => all[(start + index) % LENGTH]);
  }
}

export class History {
  ticks = new Ring();
  halves = new Ring();
  // The half minute that is not complete: its number since 1970, and the sums of its ticks.
  open = { number: 0, count: 0, receive: 0, transmit: 0 };

  // Decodes a history as the exporter sends it; null if it is none.
  static from({ ticks, half_minutes: halves }) {
    const history = new History();
    try {
      fill(history.ticks, ticks);
      fill(history.halves, halves);
    } catch {
      return null;
    }
    return history;
  }

  // Adds a tick that ended at this time, in seconds since 1970.
  push(receive, transmit, time) {
    this.ticks.push(receive, transmit);
    const number = Math.floor(time / HALF_MINUTE);
    if (number !== this.open.number) {
      const { count, receive: into, transmit: out } = this.open;
      if (count > 0) this.halves.push(into / count, out / count);
      this.open = { number, count: 0, receive: 0, transmit: 0 };
    }
    this.open.count += 1;
    this.open.receive += receive;
    this.open.transmit += transmit;
  }

  copy() {
    return Object.assign(new History(), { ticks: this.ticks.copy(), halves: this.halves.copy(), open: { ...this.open } });
  }

  get isEmpty() {
    return this.ticks.length === 0;
  }

  // Returns the mean of the last ticks, both directions together.
  steady() {
    const { receive, transmit, length, next } = this.ticks;
    const count = Math.min(length, STEADY);
    let sum = 0;
    for (let back = 1; back <= count; back += 1) {
      const at = (next - back + LENGTH) % LENGTH;
      sum += receive[at] + transmit[at];
    }
    return count ? sum / count : 0;
  }
}

// Fills a ring with two texts of base64: receive and transmit, the oldest byte first.
function fill(ring, texts) {
  const [receive, transmit] = (texts ?? ["", ""]).map((text) => atob(text));
  const length = Math.min(receive.length, transmit.length);
  for (let index = Math.max(0, length - LENGTH); index < length; index += 1) {
    ring.push(RATES[receive.charCodeAt(index)], RATES[transmit.charCodeAt(index)]);
  }
}
