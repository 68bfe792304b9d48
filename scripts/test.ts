/**
 * Runs the tests, and prints one line with the totals from the reports of the test runners:
 *
 *   deno task test                    the tests of the library on Deno, and of the program as a binary
 *   deno task test all                many of them again on the other runtimes, as CI does
 *   deno task test cli unit/amqp      only these folders or files of tests/, on all runtimes
 *   deno task test -v                 with all that the test runners print
 *   deno task test:bun                only the tests on Bun
 *
 * The tests of the library run under `deno test` and under `bun test`. The tests of the command line start real
 * processes: of the binary that `bun build --compile` makes, on Deno (the bundle that `deno compile` packages), on Bun (the
 * source), and on Node (the bundle of the npm package).
 *
 * The runs share the processors, so a test with a deadline may fail for lack of time. The files of a run with a failure run once
 * more at the end, beside no other run; a failure that does not come again is reported as flaky, and counts as passed.
 */
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findBun } from "./bun.ts";
import { bundle } from "./bundle.ts";
import { compileWithBun } from "./compile_bun.ts";
import { endLeftovers } from "./leftovers.ts";
import { bundleForNode } from "./npm.ts";
import { plan, type Run, testFilesOf, testsAt, type Wanted } from "./test_plan.ts";
import { readReport, type Report } from "./test_report.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The number of runs at the same time. That of the faults waits for nodes that start, most of the time. */
const LANES = 3;
/** The time limit of one run, in milliseconds. */
const DEADLINE_MS = 20 * 60_000;
/** More files with failures than this are no coincidence: they do not run again. */
const MAX_FLAKY = 8;
/** The last lines of a log, where a runner failed without a failed test. */
const LOG_LINES = 40;
/** The interval of the lines that show how far a run is, in milliseconds. */
const PROGRESS_MS = 30_000;

/** What a run reported. */
interface Outcome extends Report {
  readonly run: Run;
}

/** In the environment of all processes of this run. */
const mark = crypto.randomUUID();
const { isVerbose, wanted } = readWords(process.argv.slice(2));

async function main(): Promise<void> {
  console.log("# building the program");
  const bun = findBun();
  const binary = compileWithBun();
  const reports = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-test-"));
  // A test runs the program as another user, who must reach a folder in it.
  fs.chmodSync(reports, 0o711);
  const pool = makePool(reports);
  const env = {
    MQCAT_RABBITMQ_POOL: pool.folder,
    MQCAT_BUN: bun,
    MQCAT_DENO: process.execPath,
    MQCAT_BINARY: binary,
    MQCAT_BUNDLE: bundle(),
    MQCAT_NODE_BUNDLE: nodeBundle(),
    MQCAT_TEST_RUN: mark,
    // What interrupted tests leave there ends with the run.
    TMPDIR: reports,
  };
  const outcomes: Outcome[] = [];
  const again = new Map<Run, Outcome>();
  const execute = async (run: Run): Promise<Outcome> => {
    const file = path.join(reports, run.name.replaceAll(/\W+/g, "-"));
    console.log(`# ${run.name} has started, its results follow when it has ended`);
    const started = performance.now();
    const progress = setInterval(() => {
      const seconds = Math.round((performance.now() - started) / 1000);
      console.log(`# ${run.name}: ${testsIn(`${file}.log`)} tests in ${seconds} s`);
    }, PROGRESS_MS);
    const words = [...run.command, ...run.tests].map((word) => word.replace("REPORT", `${file}.xml`));
    const status = await spawned(words, { ...env, ...run.env }, `${file}.log`);
    clearInterval(progress);
    const log = fs.readFileSync(`${file}.log`, "utf8");
    const outcome = outcomeOf(run, status, `${file}.xml`, log);
    // The lanes run at the same time: the lines of a run are printed together.
    print(outcome, isVerbose ? log : skips(log), (performance.now() - started) / 1000);
    return outcome;
  };
  const end = () => {
    fs.closeSync(pool.alive);
    const left = endLeftovers(mark);
    if (left > 0) console.log(`# ${left} processes were left, and are ended now`);
    // A process that is being killed may still write a file.
    fs.rmSync(reports, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.on(signal, () => {
      end();
      process.exit(code);
    });
  }
  try {
    const runs = plan(wanted, bun, reports);
    const lane = async () => {
      for (let run = runs.shift(); run !== undefined; run = runs.shift()) outcomes.push(await execute(run));
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    for (const { run, failedFiles } of outcomes) {
      const found = failedFiles.map((file) => testFilesOf(file, run.files));
      const files = [...new Set(found.flat())];
      if (files.length === 0 || files.length > MAX_FLAKY || found.some(({ length }) => length === 0)) {
        continue;
      }
      again.set(run, await execute({ ...run, name: `${run.name}, again`, files, tests: files }));
    }
  } finally {
    end();
  }
  summarize(outcomes, again);
}

/** Reads the words of the command line. */
function readWords(words: string[]): { isVerbose: boolean; wanted: Wanted } {
  const taken = (...option: string[]) => {
    const at = words.indexOf(option[0]!);
    const isGiven = at >= 0 && option.every((word, i) => words[at + i] === word);
    if (isGiven) words.splice(at, option.length);
    return isGiven;
  };
  try {
    const isVerbose = taken("-v");
    const onlyBun = taken("--runner", "bun");
    const hasRepeats = taken("all");
    const chosen = words.length > 0 ? testsAt(words) : undefined;
    return { isVerbose, wanted: { onlyBun, hasRepeats, chosen } };
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
}

/** Makes the folder in which tests share nodes of RabbitMQ, which end when `alive` is closed: see tests/support/rabbitmq.ts. */
function makePool(parent: string): { folder: string; alive: number } {
  const folder = path.join(parent, "rabbitmq");
  fs.mkdirSync(folder);
  const pipe = path.join(folder, "alive");
  execFileSync("mkfifo", [pipe]);
  return { folder, alive: fs.openSync(pipe, "r+") };
}

/** The number of tests that a log has so far. */
function testsIn(log: string): number {
  return fs.readFileSync(log, "utf8").match(/\.\.\. \S*(ok|FAILED|ignored)|^\S*\((pass|fail|skip)\)/gm)
    ?.length ?? 0;
}

/** Prints the failures and the totals, and ends the process. */
function summarize(outcomes: readonly Outcome[], again: ReadonlyMap<Run, Outcome>): never {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  let flaky = 0;
  for (const outcome of outcomes) {
    const second = again.get(outcome.run);
    const hasRunAgain = second !== undefined && second.passed + second.failed > 0;
    const left = hasRunAgain ? Math.min(outcome.failed, second.failed) : outcome.failed;
    passed += outcome.passed + outcome.failed - left;
    failed += left;
    flaky += outcome.failed - left;
    skipped += outcome.skipped;
    for (const failure of (left > 0 && hasRunAgain ? second : outcome).failures) {
      const verdict = left === 0 ? "flaky, passed when run again" : "failed";
      const place = failure.file === "" ? "" : `${failure.file}: `;
      console.log(`\n${outcome.run.name}, ${verdict}: ${place}${failure.name}\n${failure.text}`);
    }
  }
  console.log(
    `\n${passed} passed, ${failed} failed, ${skipped} skipped${flaky > 0 ? `, ${flaky} flaky` : ""}`,
  );
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

/** Prints the files of a run with their times, and its totals. */
function print(
  { run, passed, failed, skipped, files, failedFiles }: Outcome,
  log: string,
  seconds: number,
): void {
  const lines = [...files].map(([file, seconds]) =>
    `${failedFiles.includes(file) ? "FAILED " : "       "}${seconds.toFixed(1).padStart(6)} s  ${file}`
  );
  const totals = `${run.name}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${
    seconds.toFixed(0)
  } s`;
  fs.writeFileSync(1, `\n# ${run.name}\n${[...lines, log, totals].filter(Boolean).join("\n")}\n\n`);
}

/** The lines that say why tests are skipped. */
function skips(log: string): string {
  const lines = log.split("\n").filter((line) => /skipped: /.test(line));
  return [...new Set(lines)].join("\n");
}

/** Builds the program for Node, with the type of its modules, which the package of npm has, too. */
function nodeBundle(): string {
  const folder = `${root}dist/node/`;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(`${folder}package.json`, '{ "type": "module" }\n');
  return bundleForNode(`${folder}dist`);
}

/**
 * Runs a command to its end, or to the deadline.
 *
 * @param log the file for its output
 * @returns its exit status
 */
function spawned(command: readonly string[], env: Record<string, string>, log: string): Promise<number> {
  return new Promise((resolve) => {
    const output = fs.openSync(log, "w");
    const child = spawn(command[0]!, command.slice(1), {
      cwd: root,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...env },
    });
    fs.closeSync(output);
    const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve(status ?? 1);
    });
  });
}

/**
 * Reads the report of a runner. A file without a test in it counts as a failure, for the reports leave out what failed outside of
 * tests, such as an import.
 */
function outcomeOf(run: Run, status: number, file: string, log: string): Outcome {
  const report = readReport(fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  const reported = new Set([...report.files.keys()].flatMap((file) => testFilesOf(file, run.files)));
  const silent = run.files.filter((file) => !reported.has(file));
  const failures = silent.map((file) => ({ file, name: "no test of this file ran", text: "" }));
  if (status !== 0 && report.failed + failures.length === 0) {
    failures.push({ file: "", name: run.command.join(" "), text: `it ended with status ${status}` });
  }
  const last = failures.at(-1);
  if (last !== undefined) last.text += log.split("\n").slice(-LOG_LINES).join("\n");
  return {
    ...report,
    run,
    failed: report.failed + failures.length,
    failures: [...report.failures, ...failures],
    failedFiles: [...report.failedFiles, ...silent],
  };
}

await main();
