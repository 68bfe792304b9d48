/**
 * Runs the tests, and prints one line with the totals from the reports of the test runners:
 *
 *   deno task test                    every test once: the library on Deno, the program as a binary
 *   deno task test all                some of them again on the other runtimes, as CI does
 *   deno task test unit property      only these folders of tests/, on all runtimes
 *   deno task test -v                 with all that the test runners print
 *   deno task test:bun                only the tests on Bun
 *
 * The tests of the library run under `deno test` and under `bun test`. The tests of the command line start real
 * processes: of the binary that `bun build --compile` makes, on Deno (the bundle that `deno compile` packages), on Bun (the
 * source), and on Node (the bundle of the npm package).
 *
 * The runs share the processors, so a test with a deadline may fail for lack of time. Files with a failure run once more,
 * alone, at the end; a failure that does not come again is reported as flaky, and counts as passed.
 */
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { findBun } from "./bun.ts";
import { bundle } from "./bundle.ts";
import { compileWithBun } from "./compile_bun.ts";
import { endLeftovers } from "./leftovers.ts";
import { bundleForNode } from "./npm.ts";
import { readReport, type Report } from "./test_report.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The time limit of one run, in milliseconds. */
const DEADLINE_MS = 20 * 60_000;
/** More files with failures than this are no coincidence: they do not run again. */
const MAX_FLAKY = 8;
/** The interval of the lines that show how far a run is, in milliseconds. */
const PROGRESS_MS = 30_000;

/**
 * The tests of the command line that `all` does not repeat on Deno: their subject is words, formats, filters and examples, the
 * same on each runtime, or brokers, whose clients the tests of the library use on Deno and on Bun.
 */
const BINARY_ONLY = [
  "bridge_pairs_test.ts",
  "bridge_test.ts",
  "completion_test.ts",
  "context_test.ts",
  "docs_test.ts",
  "format_test.ts",
  "help_test.ts",
  "json_test.ts",
  "patterns_mqtt_test.ts",
  "patterns_stomp_test.ts",
  "probe_brokers_test.ts",
  "probe_test.ts",
  "publisher_id_test.ts",
  "queue_rabbitmq_test.ts",
  "queue_test.ts",
  "replay_test.ts",
  "rpc_mqtt_test.ts",
  "rpc_stomp_test.ts",
  "rpc_test.ts",
  "spelling_test.ts",
  "topic_test.ts",
  "trace_test.ts",
  "usage_test.ts",
  "where_test.ts",
  "wire_test.ts",
];
/**
 * The tests of the command line that `all` repeats on Bun, from the source, and on Node: streams, terminals, signals, files, child
 * processes, sockets and TLS, which each runtime has its own code for.
 */
const ON_EACH_RUNTIME = [
  "conversation_test.ts",
  "echo_test.ts",
  "ending_test.ts",
  "endpoints_test.ts",
  "errors_test.ts",
  "exec_test.ts",
  "large_test.ts",
  "output_test.ts",
  "patterns_amqp_test.ts",
  "pipeline_test.ts",
  "prompt_test.ts",
  "queue_serve_test.ts",
  "queue_stop_test.ts",
  "ready_test.ts",
  "security_test.ts",
  "source_test.ts",
  "suspended_test.ts",
  "terminal_test.ts",
  "tls_reload_test.ts",
];
/** The tests of the library that `all` does not repeat on Bun: packages, the page in Chromium, other programs, damaged files. */
const DENO_ONLY = [
  "data_directory_test.ts",
  "fuzz_test.ts",
  "npm_test.ts",
  "page_browser_test.ts",
  "recipes_test.ts",
  "release_test.ts",
];

/** Files that take long, and wait for other programs most of the time. */
const SLOW =
  /interop\/|fault\/|_(kill|rabbitmq|brokers|amqp|mqtt|stomp)_test|docs_test|cli\/(queue|rpc|bridge)\w*_test/;
/** The maximum number of modules that import the other test files of a run. */
const MAX_GROUPS = 8;

interface Run {
  readonly name: string;
  /** The command without the tests. */
  readonly command: readonly string[];
  /** The files of the tests. */
  readonly tests: readonly string[];
  readonly env: Record<string, string>;
}

/** What a run reported. */
interface Outcome extends Report {
  readonly run: Run;
}

const DENO_TEST = [process.execPath, "test", "-A", "--no-check", "--parallel", "--junit-path=REPORT"];

const words = process.argv.slice(2);
const onlyBun = words[0] === "--runner" && words[1] === "bun";
const isVerbose = words.includes("-v");
/** In the environment of all processes of this run. */
const mark = crypto.randomUUID();
const hasRepeats = words.includes("all");
const folders = words.filter((word) => !word.startsWith("-") && word !== "bun" && word !== "all");

async function main(): Promise<void> {
  const bun = findBun();
  const binary = compileWithBun();
  const reports = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-test-"));
  const pool = makePool(reports);
  const env = {
    MQCAT_RABBITMQ_POOL: pool.folder,
    MQCAT_BUN: bun,
    MQCAT_DENO: process.execPath,
    MQCAT_BINARY: binary,
    MQCAT_BUNDLE: bundle(),
    MQCAT_NODE_BUNDLE: nodeBundle(),
    MQCAT_TEST_RUN: mark,
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
    const outcome = outcomeOf(run, status, `${file}.xml`);
    // The lanes run at the same time: the lines of a run are printed together.
    const log = fs.readFileSync(`${file}.log`, "utf8");
    print(outcome, isVerbose ? log : skips(log), (performance.now() - started) / 1000);
    return outcome;
  };
  const end = () => {
    fs.closeSync(pool.alive);
    fs.rmSync(reports, { recursive: true, force: true });
    const left = endLeftovers(mark);
    if (left > 0) console.log(`# ${left} processes were left, and are ended now`);
  };
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.on(signal, () => {
      end();
      process.exit(code);
    });
  }
  try {
    const runs = plan(bun, reports);
    const lane = async () => {
      for (let run = runs.shift(); run !== undefined; run = runs.shift()) outcomes.push(await execute(run));
    };
    await Promise.all([lane(), lane()]);
    for (const { run, failedFiles } of outcomes) {
      if (failedFiles.length === 0 || failedFiles.length > MAX_FLAKY) continue;
      again.set(run, await execute({ ...run, name: `${run.name}, again`, tests: failedFiles }));
    }
  } finally {
    end();
  }
  summarize(outcomes, again);
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
  for (const outcome of outcomes) {
    const second = again.get(outcome.run);
    const left = second === undefined ? outcome.failed : Math.min(outcome.failed, second.failed);
    passed += outcome.passed + outcome.failed - left;
    failed += left;
    skipped += outcome.skipped;
    for (const failure of (left > 0 && second !== undefined ? second : outcome).failures) {
      const verdict = left === 0 ? "flaky, passed when run again" : "failed";
      const place = failure.file === "" ? "" : `${failure.file}: `;
      console.log(`\n${outcome.run.name}, ${verdict}: ${place}${failure.name}\n${failure.text}`);
    }
  }
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
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

/**
 * The runs, of which two run at a time: the library waits more than it computes, the command line computes more than it
 * waits. Faults are tested in the binary, for their time; `deno task test fault` on Deno and Bun, too.
 *
 * @param scratch a folder for modules
 */
function plan(bun: string, scratch: string): Run[] {
  const runs: Run[] = [];
  const onDeno = (name: string, files: readonly string[], target?: string) => {
    const env: Record<string, string> = target === undefined ? {} : { MQCAT_TARGET: target };
    const tests = grouped(files, path.join(scratch, name.replaceAll(/\W+/g, "-")));
    if (files.length > 0) runs.push({ name, command: DENO_TEST, tests, env });
  };
  const onBun = (name: string, tests: readonly string[]) => {
    const preload = "--preload=./tests/support/short_properties.ts";
    const report = ["--reporter=junit", "--reporter-outfile=REPORT"];
    const command = [bun, "test", "--timeout", "120000", preload, ...report];
    if (tests.length > 0) runs.push({ name, command, tests, env: {} });
  };
  const library = filesOf("unit", "property");
  const peers = filesOf("interop");
  const programs = filesOf("cli");
  const faults = filesOf("fault");
  /** The files with these names, or those without; all of them if the caller chose folders. */
  const pick = (files: readonly string[], names: readonly string[], isWanted: boolean) => {
    if (folders.length > 0) return files;
    const wrong = names.filter((name) => !files.some((file) => path.basename(file) === name));
    if (wrong.length > 0) {
      throw new Error(`a list of this script names ${wrong.join(", ")}: there is no such file`);
    }
    return files.filter((file) => names.includes(path.basename(file)) === isWanted);
  };
  if (onlyBun) {
    onBun("library on Bun", pick([...library, ...peers], DENO_ONLY, false));
    onDeno("command line, bun", [...programs, ...faults], "bun");
    return runs;
  }
  // Two run at a time, so the longest come first.
  onDeno("command line, binary", programs, "binary");
  onDeno("interop on Deno", peers);
  onDeno("faults, binary", faults, "binary");
  onDeno("library on Deno", library);
  if (!hasRepeats && folders.length === 0) return runs;
  onBun("library on Bun", pick([...library, ...peers], DENO_ONLY, false));
  onDeno("command line, deno", pick(programs, BINARY_ONLY, false), "deno");
  onDeno("command line, bun", pick(programs, ON_EACH_RUNTIME, true), "bun");
  onDeno("command line, node", pick(programs, ON_EACH_RUNTIME, true), "node");
  if (hasRepeats) return runs;
  for (const target of ["deno", "bun"]) onDeno(`faults, ${target}`, faults, target);
  return runs;
}

/**
 * Writes modules that import several test files each, because Deno needs half a second of processor time for each module
 * that it is given. Slow files stay alone, for Deno runs modules at the same time.
 */
function grouped(files: readonly string[], folder: string): string[] {
  const slow = files.filter((file) => SLOW.test(file));
  const quick = files.filter((file) => !SLOW.test(file));
  const count = Math.min(quick.length, MAX_GROUPS);
  fs.mkdirSync(folder);
  const groups = Array.from({ length: count }, (_, i) => {
    const group = path.join(folder, `${i}_test.ts`);
    const imports = quick.filter((_, j) => j % count === i).map((file) =>
      `import "${pathToFileURL(root + file)}";`
    );
    fs.writeFileSync(group, imports.join("\n"));
    return group;
  });
  return [...slow, ...groups];
}

/** Builds the program for Node, with the type of its modules, which the package of npm has, too. */
function nodeBundle(): string {
  const folder = `${root}dist/node/`;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(`${folder}package.json`, '{ "type": "module" }\n');
  return bundleForNode(`${folder}dist`);
}

/** The test files of these folders, as far as they are requested. */
function filesOf(...names: string[]): string[] {
  return names
    .filter((name) => folders.length === 0 || folders.includes(name))
    .flatMap((name) =>
      fs.readdirSync(`${root}tests/${name}`, { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith("_test.ts"))
        .sort()
        .map((file) => `tests/${name}/${file}`)
    );
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

/** Reads the report of a runner. A runner that failed without a failed test counts as one failure. */
function outcomeOf(run: Run, status: number, file: string): Outcome {
  const report = readReport(fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  if (status === 0 || report.failed > 0) return { ...report, run };
  const failure = { file: "", name: run.command.join(" "), text: `it ended with status ${status}: see -v` };
  return { ...report, run, failed: 1, failures: [failure] };
}

await main();
