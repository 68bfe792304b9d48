/** Writes dist/deno, the program for Deno as JavaScript: a chunk for each command, which starts faster than the source. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** @returns the path of the entry point */
export function bundle(): string {
  const folder = `${root}dist/deno/`;
  fs.rmSync(folder, { recursive: true, force: true });
  const args = ["bundle", "-q", "--platform", "deno", "--code-splitting", "--outdir", folder];
  execFileSync(process.execPath, [...args, `${root}cli/main.ts`], { stdio: ["ignore", "ignore", "inherit"] });
  for (const name of fs.readdirSync(folder)) {
    // Deno reads every chunk that an `import()` names at each start, although it may never be needed. It does not look
    // into a template.
    const text = fs.readFileSync(folder + name, "utf8");
    fs.writeFileSync(folder + name, text.replaceAll(/\bimport\(("\.\/[^"]+")\)/g, "import(`${$1}`)"));
  }
  return `${folder}main.js`;
}

if (import.meta.main) console.log(bundle());
