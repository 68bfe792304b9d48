/** Builds dist/mqcat-bun, a single binary, with `bun build --compile`. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { findBun } from "./bun.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** @returns the path of the binary */
export function compileWithBun(): string {
  const binary = `${root}dist/mqcat-bun`;
  // Bytecode spares the parsing at start; split, a command evaluates only its own modules.
  const fast = ["--minify", "--bytecode", "--splitting", "--format=esm"];
  const args = ["build", "--compile", ...fast, `${root}cli/main.ts`, "--outfile", binary];
  execFileSync(findBun(), args, { stdio: ["ignore", "ignore", "inherit"], cwd: root });
  return binary;
}

if (import.meta.main) console.log(compileWithBun());
