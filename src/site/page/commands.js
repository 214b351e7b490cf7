// Commands by which a person looks at a row's pair on the host.

import { title } from "./format.js";
import { copyable } from "./queries.js";

// Quotes a word for a shell, unless it needs none.
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

// Words that a shell cannot be given as text: a name with bytes that are no characters is escaped here.
const isPlain = (word) => !/[\\\u0000-\u001f\u007f-\u009f]/.test(word);

const ENGINES = { docker: "docker", podman: "podman" };

function list(row) {
  const all = [];
  const { workload, peer, end } = row;
  const port = peer.role === "port" ? peer : end.role === "port" ? end : null;
  if (port?.name && port.netns === "" && isPlain(port.name)) all.push(["The port", `ip -s -d link show dev ${quoted(port.name)}`]);
  const engine = ENGINES[workload?.runtime];
  const id = workload?.id || title(workload ?? { namespace: "", pod: "", container: "" });
  const inside = end.role === "interface" && end.name && isPlain(end.name) ? `ip -s -d link show dev ${quoted(end.name)}` : null;
  if (engine && isPlain(id)) {
    const short = quoted(/^[0-9a-f]{24,}$/.test(id) ? id.slice(0, 12) : id);
    if (inside) all.push(["The interface inside", `sudo nsenter -n -t "$(${engine} inspect -f '{{.State.Pid}}' ${short})" ${inside}`]);
    all.push(["The container", `${engine} inspect ${short}`]);
    all.push(["Its log", `${engine} logs --tail 50 ${short}`]);
  } else if (workload?.runtime === "cri" && workload.id && isPlain(workload.id)) {
    all.push(["The pod", `crictl inspectp ${quoted(workload.id)}`]);
  } else if (workload?.runtime === "named" && isPlain(row.name)) {
    if (inside) all.push(["The interface inside", `sudo ip netns exec ${quoted(row.name)} ${inside}`]);
  }
  const wanted = workload && isPlain(row.name) ? row.name : port?.name;
  if (wanted && isPlain(wanted)) all.push(["All that is known", `veth-exporter find ${wanted.startsWith("-") ? "-- " : ""}${quoted(wanted)}`]);
  return all;
}

// Returns the part of the details that has the commands.
export function byHand(row) {
  return copyable("By hand, on the host", list(row));
}
