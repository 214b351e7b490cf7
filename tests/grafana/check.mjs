// Holds Grafana dashboards against the types that Grafana publishes (@grafana/schema), by TypeScript's compiler: a field that there
// is not, a value of the wrong type and a word that is none of an enumeration are errors.
//
//     node check.mjs FOLDER FILE...      FOLDER has node_modules with the packages of package.json, and takes what is compiled
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const RAW = "@grafana/schema/dist/esm/raw";

// The plugins that may be used: where their types are, and whether these have a FieldConfig (`custom` in the file).
const PLUGINS = {
  stat: ["stat/panelcfg/x/StatPanelCfg_types.gen", false],
  "state-timeline": ["statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen", true],
  table: ["table/panelcfg/x/TablePanelCfg_types.gen", true],
  timeseries: ["timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen", true],
};

// In a file an enumeration's member is its text, which TypeScript would not take for the member itself.
const HEAD = `
import type { Dashboard, Panel, RowPanel } from "${RAW}/dashboard/x/dashboard_types.gen";
import type { PrometheusDataQuery } from "${RAW}/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen";
type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
`;

function typed(name, type, value) {
  return `const ${name}: Json<${type}> = ${JSON.stringify(value, null, 1)};\n`;
}

// The fields of an annotation of Prometheus besides those of any data source; @grafana/schema has no type for it.
const ANNOTATION = "{ titleFormat: string; textFormat: string; tagKeys: string }";

function source(file) {
  const { panels, annotations, ...dashboard } = JSON.parse(readFileSync(file, "utf8"));
  let text = HEAD + typed("dashboard", "Dashboard", dashboard);
  for (const { target, titleFormat, textFormat, tagKeys, ...annotation } of annotations.list) {
    text += typed(`annotation_${annotation.name}`, 'NonNullable<NonNullable<Dashboard["annotations"]>["list"]>[number]', annotation);
    text += typed(`annotation_of_prometheus_${annotation.name}`, ANNOTATION, { titleFormat, textFormat, tagKeys });
    text += typed(`annotation_query_${annotation.name}`, "PrometheusDataQuery", target);
  }
  const rows = panels.filter((panel) => panel.type === "row");
  for (const { panels: within, ...row } of rows) text += typed(`row_${row.id}`, "RowPanel", { ...row, panels: [] });
  const shown = panels.flatMap((panel) => (panel.type === "row" ? panel.panels : [panel]));
  for (const panel of shown) {
    const [path, hasFieldConfig] = PLUGINS[panel.type] ?? [];
    if (path === undefined) throw new Error(`${file}: panel ${panel.id}: no types for the plugin ${panel.type}`);
    const plugin = `import("${RAW}/composable/${path}")`;
    text += typed(`panel_${panel.id}`, "Panel", panel);
    text += typed(`options_${panel.id}`, `${plugin}.Options`, panel.options);
    const custom = panel.fieldConfig.defaults.custom;
    if (hasFieldConfig) text += typed(`custom_${panel.id}`, `${plugin}.FieldConfig`, custom);
    else if (custom !== undefined) throw new Error(`${file}: panel ${panel.id}: ${panel.type} has no custom fields`);
    text += typed(`targets_${panel.id}`, "PrometheusDataQuery[]", panel.targets);
  }
  return text + "export {};\n";
}

const [folder, ...files] = process.argv.slice(2);
const compiled = files.map((file) => {
  const path = join(folder, `${basename(file, ".json")}.ts`);
  writeFileSync(path, source(file));
  return path;
});

// The compiler tells a line of what it was given: this adds which part of the dashboard that is.
function explain(line) {
  const [, name, number] = /^(.*)\.ts\((\d+),/.exec(line) ?? [];
  const path = compiled.find((path) => basename(path, ".ts") === name);
  if (path === undefined) return line;
  const before = readFileSync(path, "utf8").split("\n").slice(0, Number(number));
  const part = before.findLast((text) => text.startsWith("const "));
  return `${name}.json: ${part.split(/[ :]/)[1]}: ${before.at(-1).trim()}: ${line}`;
}

const tsc = join(folder, "node_modules/typescript/bin/tsc");
const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
try {
  execFileSync(process.execPath, [tsc, ...options, ...compiled], { cwd: folder, encoding: "utf8" });
} catch (failure) {
  console.error((failure.stdout ?? failure.message).split("\n").map(explain).join("\n"));
  process.exit(1);
}
