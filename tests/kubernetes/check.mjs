// Holds a PodMonitor, as JSON on standard input, against the Prometheus operator's published schema: values by its validator, and names
// of fields by its types, because the schema lets unknown ones pass.
//
//     node check.mjs FOLDER      FOLDER has node_modules with the packages of package.json, and takes what is compiled
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const MODULE = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";

const folder = process.argv[2];
const monitor = JSON.parse(readFileSync(0, "utf8"));
// A package is found from where the file stands that imports it.
const validator = join(folder, "validator.mjs");
writeFileSync(validator, `export { PodMonitor } from "${MODULE}";\n`);
const { PodMonitor } = await import(pathToFileURL(validator).href);
new PodMonitor(monitor).validate();

const source = join(folder, "monitor.ts");
const typed = `import type { IPodMonitor } from "${MODULE}";\nexport const monitor: IPodMonitor = ${JSON.stringify(monitor)};\n`;
writeFileSync(source, typed);
const tsc = join(folder, "node_modules/typescript/bin/tsc");
const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
try {
  execFileSync(process.execPath, [tsc, ...options, source], { cwd: folder, encoding: "utf8" });
} catch (failure) {
  console.error(failure.stdout ?? failure.message);
  process.exit(1);
}
