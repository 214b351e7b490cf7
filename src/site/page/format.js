// Numbers, times and names as the page writes them.

const UNITS = ["", "k", "M", "G", "T", "P", "E"];

// Three digits and a unit: 1.23 MB.
function short(value, unit) {
  let power = 0;
  let rest = value;
  while (rest >= 999.5 && power < UNITS.length - 1) {
    rest /= 1000;
    power += 1;
  }
  const digits = power === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  const space = unit ? "\u202f" : "";
  return `${rest.toFixed(digits)}${space}${UNITS[power]}${unit}`;
}

export function rate(bytes) {
  return bytes === null ? "–" : bytes === 0 ? "0" : `${short(bytes, "B")}/s`;
}

// Returns a sum with one more number; null stands for numbers that are not known.
export function plus(sum, number) {
  return number === null ? sum : (sum ?? 0) + number;
}

export function bytes(count) {
  return short(count, "B");
}

export function packets(count) {
  return count === null ? "–" : `${short(count, "")} packets/s`;
}

// A number of things a second, without their unit.
export function each(count) {
  return count === null ? "–" : count === 0 ? "0" : `${short(count, "")}/s`;
}

// A whole number with its word: 1 pair, 2 pairs.
export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// A workload in one word: namespace/pod for a pod, else its name.
export function title(workload) {
  return [workload.namespace, workload.pod, workload.container].filter(Boolean).join("/");
}

// The beginning of an id, as Docker prints it.
export function shortId(id) {
  return /^[0-9a-f]{24,}$/.test(id) ? id.slice(0, 12) : id;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

// A time of today as a clock shows it; any other with its date.
export function moment(seconds, now) {
  const [then, today] = [new Date(seconds * 1000), new Date(now * 1000)];
  if (then.toDateString() === today.toDateString()) return clock(seconds);
  return `${then.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" })} ${clock(seconds)}`;
}

// A length of time in its two largest units: 8 s, 22 min, 3 h 20 min, 4 d 2 h.
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  const both = (first, second) => [first, second].filter((part) => !part.startsWith("0 ")).join(" ");
  if (hours < 48) return both(`${hours} h`, `${minutes % 60} min`);
  return both(`${Math.floor(hours / 24)} d`, `${hours % 24} h`);
}

// Characters that control a display or mislead a reader: the rule of model/text.rs, of which a page shows line ends,
// tabs and skin tones as they are. The tests of both use the same vectors.
const MISLEADING =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;

// Writes each of them as text: \x1b, \u{202e}.
export function harmless(text) {
  return text.replace(MISLEADING, (character) => {
    const code = character.codePointAt(0);
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}
