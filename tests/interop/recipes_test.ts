/** Runs the recipes of docs/testing.md with node:test, deno test, vitest and pytest. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { packNpm } from "../../scripts/npm.ts";
import { installed, requirePeer, tempDir } from "../support/helpers.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DENO = process.env["MQCAT_DENO"] ?? "deno";
/** Debian's Python has pika and pytest; another Python that is earlier on PATH may not. */
const PYTHON = "/usr/bin/python3";
const hasNode = installed("node") && installed("npm");
const hasPytest = spawnSync(PYTHON, ["-c", "import pytest, pika"], { stdio: "ignore" }).status === 0;
/** A folder with vitest in its `node_modules`, which is too large to be a dependency: `npm install --prefix DIR vitest`. */
const vitest = process.env["MQCAT_VITEST"];

const dir = tempDir();
after(dir.remove);

/** Writes a recipe to a file of its name. */
function write(name: string): string {
  const text = fs.readFileSync(`${ROOT}docs/testing.md`, "utf8");
  const recipe = new RegExp(`^\`\`\`\\w+ ${name.replaceAll(".", "\\.")}\n([^]*?)^\`\`\`$`, "m").exec(text)
    ?.[1];
  assert.ok(recipe, `docs/testing.md has a recipe ${name}`);
  fs.writeFileSync(dir.file(name), recipe);
  return name;
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: dir.path,
    encoding: "utf8",
    timeout: 120_000,
    env: { ...process.env, ...env },
  });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${error ?? ""}${stdout}${stderr}`);
  return stdout + stderr;
}

let isInstalled = false;

/** Installs the package of npm, and the client that the recipes use. */
function install(): void {
  if (isInstalled) return;
  isInstalled = true;
  fs.writeFileSync(dir.file("package.json"), '{ "type": "module" }');
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", packNpm()]);
  const from = fs.realpathSync(path.join(ROOT, "node_modules"));
  fs.symlinkSync(fs.realpathSync(path.join(from, "amqplib")), dir.file("node_modules/amqplib"));
}

describe("recipes of docs/testing.md", () => {
  requirePeer("node and npm", hasNode, 300_000)("node:test", () => {
    install();
    assert.match(run("node", ["--test", write("jobs.test.mjs")]), /# pass 1/);
  });

  const skip = hasNode && vitest !== undefined ? false : "MQCAT_VITEST names no folder with vitest";
  it("vitest", { timeout: 300_000, skip }, () => {
    install();
    for (const name of fs.readdirSync(path.join(vitest!, "node_modules"))) {
      const link = dir.file(`node_modules/${name}`);
      if (!fs.existsSync(link)) fs.symlinkSync(path.join(vitest!, "node_modules", name), link);
    }
    const main = dir.file("node_modules/vitest/vitest.mjs");
    assert.match(run("node", [main, "run", write("worker.test.js")]), /2 passed/);
  });

  requirePeer("deno", installed(DENO), 120_000)("deno test", () => {
    fs.writeFileSync(dir.file("imports.json"), JSON.stringify({ imports: { mqcat: `${ROOT}mod.ts` } }));
    const args = [
      "test",
      "-A",
      "--no-check",
      "--no-lock",
      "--import-map",
      "imports.json",
      write("orders_test.js"),
    ];
    assert.match(run(DENO, args), /1 passed/);
  });

  requirePeer("pytest and pika", hasPytest, 120_000)("pytest", () => {
    const words = [
      DENO,
      "run",
      "-A",
      "--no-check",
      `${ROOT}cli/main.ts`,
      "queue",
      "run",
      "--test",
    ];
    const pytest = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", write("test_jobs.py")];
    assert.match(run(words[0]!, [...words.slice(1), "--", ...pytest]), /2 passed/);
  });
});
