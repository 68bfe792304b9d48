/** Builds dist/mqcat-bun, a single binary, with `bun build --compile`. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { findBun } from "./bun.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * @param target a platform as `bun build --target` names it; Bun gets its runtime from npm. Default: this machine's
 * @returns the path of the binary
 */
export function compileWithBun(binary = `${root}dist/mqcat-bun`, target?: string): string {
  // Bytecode spares the parsing at start; split, a command evaluates only its own modules.
  const fast = ["--minify", "--bytecode", "--splitting", "--format=esm"];
  const platform = target === undefined ? [] : [`--target=${target}`];
  const args = ["build", "--compile", ...fast, ...platform, `${root}cli/main.ts`, "--outfile", binary];
  execFileSync(findBun(), args, { stdio: ["ignore", "ignore", "inherit"], cwd: root });
  return binary;
}

if (import.meta.main) console.log(compileWithBun());
