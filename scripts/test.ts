/**
 * Runs the tests, and prints one line with the totals from the reports of the test runners:
 *
 *   deno task test                    everything
 *   deno task test unit property      only these folders of tests/
 *   deno task test:bun                only the tests on Bun
 *
 * The tests of the library run under `deno test` and under `bun test`. The tests of the command line start real
 * processes: on Deno (the bundle that `deno compile` packages), on Bun (the source), and of the binary that `bun build
 * --compile` makes.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findBun } from "./bun.ts";
import { bundle } from "./bundle.ts";
import { compileWithBun } from "./compile_bun.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The time limit of one run, in milliseconds. */
const DEADLINE_MS = 20 * 60_000;

interface Run {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Record<string, string>;
}

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

const words = process.argv.slice(2);
const onlyBun = words[0] === "--runner" && words[1] === "bun";
const folders = words.filter((word) => !word.startsWith("--") && word !== "bun");

async function main(): Promise<void> {
  const bun = findBun();
  const binary = compileWithBun();
  const env = {
    MQCAT_BUN: bun,
    MQCAT_DENO: process.execPath,
    MQCAT_BINARY: binary,
    MQCAT_BUNDLE: bundle(),
  };
  const reports = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-test-"));
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  try {
    const lanes = plan(bun).filter((lane) => lane.length > 0);
    const runAll = async (lane: Run[]) => {
      for (const run of lane) {
        const file = path.join(reports, run.name.replaceAll(/\W+/g, "-"));
        // Two lanes at the same time would mix their lines: each run is printed when it ends.
        const log = lanes.length > 1 ? `${file}.log` : undefined;
        console.log(`\n# ${run.name}${log === undefined ? "" : " has started"}`);
        const words = run.command.map((word) => word.replace("REPORT", `${file}.xml`));
        const status = await execute(words, { ...env, ...run.env }, log);
        if (log !== undefined) fs.writeFileSync(1, `\n# ${run.name}\n${fs.readFileSync(log, "utf8")}`);
        add(totals, run.name, status, `${file}.xml`);
      }
    };
    await Promise.all(lanes.map(runAll));
  } finally {
    fs.rmSync(reports, { recursive: true });
  }
  console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
}

/**
 * The runs, in lanes that run at the same time: the library waits more than it computes, the command line computes more
 * than it waits. A run of everything tests faults in the binary only, for their time; `deno task test fault` on all targets.
 */
function plan(bun: string): Run[][] {
  const library = chosen("unit", "property", "interop");
  const runs: Run[] = [];
  const programs: Run[] = [];
  if (library.length > 0) {
    if (!onlyBun) runs.push({ name: "library on Deno", command: denoTest(library), env: {} });
    const command = [
      bun,
      "test",
      "--timeout",
      "120000",
      "--reporter=junit",
      "--reporter-outfile=REPORT",
      ...library,
    ];
    runs.push({ name: "library on Bun", command, env: {} });
  }
  for (const target of onlyBun ? ["bun"] : ["binary", "deno", "bun"]) {
    const complete = target === "binary" || onlyBun || folders.length > 0;
    const program = complete ? chosen("cli", "fault") : chosen("cli");
    if (program.length === 0) continue;
    programs.push({
      name: `command line, ${target}`,
      // A run of everything runs the examples in the binary only: they show the program, not its runtime. It runs the
      // queue suite on Deno and in the binary: Bun runs the same code from the source.
      command: [
        ...denoTest(program),
        ...(complete
          ? []
          : [`--ignore=tests/cli/docs_test.ts${target === "bun" ? ",tests/cli/queue_test.ts" : ""}`]),
      ],
      env: { MQCAT_TARGET: target },
    });
  }
  return [runs, programs];
}

/** The requested folders that have tests. */
function chosen(...names: string[]): string[] {
  return names
    .filter((name) => folders.length === 0 || folders.includes(name))
    .filter((name) => fs.existsSync(`${root}tests/${name}`))
    .map((name) => `tests/${name}/`);
}

function denoTest(where: readonly string[]): string[] {
  return [process.execPath, "test", "-A", "--no-check", "--parallel", "--junit-path=REPORT", ...where];
}

/**
 * Runs a command to its end, or to the deadline.
 *
 * @param log the file for its output; undefined: our own stdout and stderr
 * @returns its exit status
 */
function execute(command: readonly string[], env: Record<string, string>, log?: string): Promise<number> {
  return new Promise((resolve) => {
    const output = log === undefined ? "inherit" : fs.openSync(log, "w");
    const child = spawn(command[0]!, command.slice(1), {
      cwd: root,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...env },
    });
    if (typeof output === "number") fs.closeSync(output);
    const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve(status ?? 1);
    });
  });
}

/** Adds the JUnit report of a runner. A runner that failed without a failed test counts as one failure. */
function add(totals: Totals, name: string, status: number, report: string): void {
  const xml = fs.existsSync(report) ? fs.readFileSync(report, "utf8") : "";
  const cases = xml.match(/<testcase\b[^>]*\/>|<testcase\b[^]*?<\/testcase>/g) ?? [];
  const failed = cases.filter((one) => /<(failure|error)\b/.test(one)).length;
  const skipped = cases.filter((one) => /<skipped\b/.test(one)).length;
  const broken = status !== 0 && failed === 0 ? 1 : 0;
  totals.failed += failed + broken;
  totals.skipped += skipped;
  totals.passed += cases.length - failed - skipped;
  console.log(
    `${name}: ${cases.length - failed - skipped} passed, ${failed + broken} failed, ${skipped} skipped`,
  );
}

await main();
