// The head of the page: which host this is, what runs there, and the sums of it.

import { by, element, say } from "./element.js";
import { moment, plus, rate, span, title } from "./format.js";
import { urgent } from "./problems.js";

const RUNTIMES = { docker: "Docker", podman: "Podman", cri: "CRI", named: "ip netns" };

// Shows the head of a state.
export function show(model) {
  const host = model.host?.name ?? "";
  say(by("host"), host || "veth-exporter");
  by("product").hidden = host === "";
  const count = urgent(model.problems);
  const name = host ? `${host} – veth-exporter` : "veth-exporter";
  const title = count ? `(${count}) ${name}` : name;
  if (document.title !== title) say(document.querySelector("title"), title);
  const { workloads, networks } = counts(model);
  say(by("sum-pairs"), model.pairs.size.toLocaleString("en"));
  say(by("sum-workloads"), workloads.toLocaleString("en"));
  say(by("sum-networks"), networks.toLocaleString("en"));
  say(by("sum-traffic"), rate(model.rows.reduce((sum, row) => plus(plus(sum, row.receive), row.transmit), null)));
  facts(model);
}

function facts({ host, time, version }) {
  const place = by("facts");
  place.hidden = host === null;
  if (host === null) return;
  const engines = (host.engines ?? []).map((engine) => `${RUNTIMES[engine.runtime] ?? engine.runtime} ${engine.version ?? ""}`.trim());
  const facts = [
    ["Engine", engines.join(", ")],
    ["Kernel", host.kernel],
    ["Host up", host.booted && `${span(time - host.booted)}`, host.booted],
    ["Exporter", version && host.started ? `${version}, up ${span(time - host.started)}` : version, host.started],
  ].filter(([, value]) => value);
  const said = JSON.stringify(facts);
  if (place.dataset.said === said) return;
  place.dataset.said = said;
  place.replaceChildren(...facts.map(([name, value, since]) => element("div", {}, element("dt", {}, name), element("dd", { title: since ? `Since ${moment(since, time)}` : null }, value))));
}

let counted = { rows: null, without: null };

// Returns the numbers of workloads and of networks.
export function counts({ rows, workloads: without }) {
  if (counted.rows === rows && counted.without === without) return counted;
  const [workloads, networks] = [new Set(), new Set()];
  for (const row of rows) {
    if (row.workload) workloads.add(`${row.runtime}/${row.name}`);
    for (const member of row.members) workloads.add(`${member.runtime}/${title(member)}`);
    if (row.network || row.bridge) networks.add(row.network || row.bridge);
  }
  for (const workload of without) {
    if (workload.state !== "stopped") workloads.add(`${workload.runtime}/${title(workload)}`);
  }
  counted = { rows, without, workloads: workloads.size, networks: networks.size };
  return counted;
}
