// Queries of Prometheus for a row. Their range is five minutes: at Prometheus' default interval of a minute, [1m] has a
// single sample and no rate. They name no job and no instance, because the page does not know them.

import { copyButton, element } from "./element.js";

// Writes labels as PromQL selects them; an empty one is left out, unless its name is among `always`.
export function selector(labels, always = []) {
  const quoted = (value) => `"${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
  const parts = Object.entries(labels).filter(([name, value]) => value !== "" || always.includes(name));
  return `{${parts.map(([name, value]) => `${name}=${quoted(value)}`).join(",")}}`;
}

function queries(row) {
  const all = [];
  if (row.end.role === "interface") {
    const { runtime, container, namespace, pod } = row.workload ?? { runtime: "unknown", container: "", namespace: "", pod: "" };
    const labels = selector({ runtime, container, namespace, pod, interface: row.end.name ?? "", network: row.end.network });
    all.push(
      ["Receive, bytes a second", `rate(veth_container_receive_bytes_total${labels}[5m])`],
      ["Transmit, bytes a second", `rate(veth_container_transmit_bytes_total${labels}[5m])`],
      ["Receive, the highest tick", `veth_container_receive_peak_bytes_per_second${labels}`],
    );
  }
  const port = row.peer.role === "port" ? row.peer : row.end.role === "port" ? row.end : null;
  if (port?.name) {
    // A device of the host has an empty netns; without it the query takes devices of that name in namespaces as well.
    const labels = selector({ device: port.name, netns: port.netns }, ["netns"]);
    all.push(["The port’s receive (its workload’s transmit)", `rate(veth_device_receive_bytes_total${labels}[5m])`]);
    all.push(["Packets that the port drops", `rate(veth_device_transmit_packets_dropped_total${labels}[5m]) + rate(veth_device_receive_packets_dropped_total${labels}[5m])`]);
  }
  return all;
}

// Returns texts to copy, each with what it is for.
export function copyLines(all) {
  return all.map(([what, text]) => element("div", { class: "query" }, element("p", {}, what, copyButton(what, text)), element("code", {}, text)));
}

// Returns a part with a heading that has texts to copy, if there is any.
export function copyable(heading, all, note = null) {
  if (!all.length) return [];
  return [
    element("h3", {}, heading),
    ...copyLines(all),
    note === null ? null : element("p", { class: "muted note" }, note),
  ].filter(Boolean);
}

// Returns the part of the details that has the queries.
export function prometheus(row) {
  return copyable("Ask Prometheus", queries(row), "In Grafana, $__rate_interval may stand in place of 5m.");
}
