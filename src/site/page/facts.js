// The facts about a workload and about the ends of a pair, as the details list them.

import { copyButton, element } from "./element.js";
import { moment, shortId, span, title } from "./format.js";

// Returns a part with a heading, if it has any fact.
export function section(heading, facts) {
  if (!facts.length) return [];
  const lines = facts.flatMap(([name, value, copy]) => [
    element("dt", {}, name),
    element("dd", {}, element("span", { class: "value" }, value), copy === undefined ? null : copyButton(name, copy)),
  ]);
  return [element("h3", {}, heading), element("dl", { class: "facts" }, ...lines)];
}

// Returns how often a workload was started again, and in which time; null if it was not.
export function restarted(of, { restarts, time }) {
  const known = restarts.get(`${of.runtime}/${title(of)}`);
  const count = known?.count ?? of.restarts ?? 0;
  return count ? `${count}${known?.since ? ` in the last ${span(time - known.since)}` : ""}` : null;
}

export function workload(of, model) {
  if (!of) return [];
  const { time } = model;
  const restarts = restarted(of, model);
  const { runtime, container, namespace, pod, id, image, compose_project: project, compose_service: service, started } = of;
  return [
    ["Name", title(of) || runtime, title(of) || runtime],
    container && pod && ["Container", container, container],
    namespace && ["Namespace", namespace],
    ["Runtime", runtime],
    id && ["Id", shortId(id), id],
    image && ["Image", image, image],
    project && ["Compose", service ? `${project} / ${service}` : project],
    started && ["Started", `${span(time - started)} ago, ${moment(started, time)}`],
    restarts && ["Restarts", restarts],
  ].filter(Boolean);
}

export function members(all) {
  if (!all.length) return [];
  const line = (member) => element("li", {}, element("span", { class: "value" }, title(member)), " ", element("span", { class: "muted" }, shortId(member.id ?? "")), copyButton(`the id of ${title(member)}`, member.id || title(member)));
  return [element("h3", {}, "Members of its namespace"), element("ul", { class: "members" }, ...all.map(line))];
}

export function end(of) {
  const { name, kind, netns, nsid, ifindex, address, mtu, up, enabled, bridge, master, master_kind: masterKind, qdisc, carrier_changes: changes } = of;
  const known = (value) => value !== null && value !== undefined;
  return [
    ["Interface", name ?? "cannot be seen", name ?? undefined],
    kind && kind !== "veth" && ["Kind", kind],
    ["Index", String(ifindex)],
    ["Namespace", netns || "host", netns || undefined],
    known(nsid) && ["Its id (nsid)", String(nsid)],
    known(address) && ["MAC address", address, address],
    known(bridge) && ["Bridge", bridge, bridge],
    master && !known(bridge) && ["Master", masterKind ? `${master} (${masterKind})` : master, master],
    known(mtu) && ["MTU", `${mtu} bytes`],
    known(up) && ["State", up ? "up" : enabled === false ? "switched off" : "down"],
    known(qdisc) && ["Queue (qdisc)", qdisc],
    known(changes) && ["Carrier changes", String(changes)],
  ].filter(Boolean);
}
