// Numbers and names as they are read.

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

export function packets(count) {
  return count === null ? "–" : `${short(count, "")} packets/s`;
}

export function count(value) {
  return short(value, "");
}

// A workload in one word: namespace/pod for a pod, else its name.
export function title(workload) {
  return [workload.namespace, workload.pod, workload.container].filter((part) => part !== "").join("/");
}

// The beginning of an id, as Docker prints it.
export function shortId(id) {
  return /^[0-9a-f]{24,}$/.test(id) ? id.slice(0, 12) : id;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

// Labels as PromQL selects them; empty ones are left out, but for those that must be empty.
export function selector(labels, always = []) {
  const quoted = (value) => `"${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
  const parts = Object.entries(labels).filter(([name, value]) => value !== "" || always.includes(name));
  return `{${parts.map(([name, value]) => `${name}=${quoted(value)}`).join(",")}}`;
}

// Characters that are obeyed or mislead a reader: the rule of model/text.rs, of which a page shows line ends, tabs and
// skin tones as they are. Both are tested against the same vectors.
const MISLEADING =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;

// Writes each of them as text: \x1b, \u{202e}.
export function harmless(text) {
  return text.replace(MISLEADING, (character) => {
    const code = character.codePointAt(0);
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}
