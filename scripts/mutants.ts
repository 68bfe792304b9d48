/**
 * Checks the tests: changes one token of the sources at a time and runs the unit and property tests that execute its
 * line, and last of all the suite of the broker's behaviour against RabbitMQ's recorded responses.
 * A mutant that no test notices is printed with its line; some of them do not change behaviour, so the list needs a reader.
 *
 *   deno task mutants [--count N] [--seed N] [--minutes N] [--jobs N] [--plain FILE] [--done FILE] [AREA…]
 *
 * Defaults: 50 mutants, 30 minutes, one job for each core, all areas. First every test file runs once without a change, to
 * see which lines it executes and that it passes; FILE keeps that for the next run of the same revision. The mutants are
 * made in copies of the repository, and the seed that is printed repeats a run. Ctrl-C ends it with the result so far;
 * with its output as the file of --done another run of the same seed and revision judges the others.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { blank } from "../tests/support/source_scan.ts";
import { Chance } from "./fuzz/mutate.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * A mutant makes tests hang that take so many times longer than without a change, and so many milliseconds more; the
 * machine may be busy. An endless loop uses up its processor time before that.
 */
const HANG = { factor: 5, more: 40_000 };
const LOOP = { factor: 3, more: 10_000 };
/** The limits of a test file without a change, in milliseconds. */
const PLAIN = { time: 5 * 60_000, processor: 5 * 60_000 };
/** Test files share a process until they take so long, in milliseconds. */
const BATCH_MS = 6_000;
/** The tests of one mutant take at most so long without a change, in milliseconds. */
const MUTANT_MS = 40_000;
/**
 * A line counts as executed when another one is that is at most so far away, as the report names no line of which a part
 * was not executed.
 */
const NEAR = 4;
/** An error of a test that waited in vain. On a busy machine that may be chance, so the test runs a second time. */
const WAITED_IN_VAIN = /deadline|timed out|timeout|waited|within \d|not in time|too (late|slow)/i;

/** Sources by what they are. */
const AREAS: Readonly<Record<string, readonly string[]>> = {
  zmtp: ["lib/zmtp"],
  zmq: ["lib/zmq"],
  amqp: ["lib/amqp", "lib/bytes"],
  client: ["lib/amqp/client", "lib/link"],
  mqtt: ["lib/mqtt"],
  stomp: ["lib/stomp"],
  journal: ["lib/broker/core/journal"],
  queue: ["lib/broker/core/queue", "lib/broker/core/intake.ts", "lib/broker/core/dead_letter.ts"],
  routing: ["lib/broker/core/exchange", "lib/broker/core/topology", "lib/broker/core/users"],
  core: ["lib/broker/core"],
  channel: ["lib/broker/amqp"],
};

/** What notices mutants: tests in these folders, except those that read the sources instead of running them. */
const TESTS = ["tests/unit", "tests/property"];
const NO_TESTS = /tests\/unit\/(scripts|cli|page|[a-z]+_test\.ts)/;
/** The last resort: what our broker does, compared with the recorded responses of RabbitMQ. */
const BEHAVIOUR = "tests/interop/amqp/behaviour_test.ts";

/** Tokens, and what one of them becomes. */
const TOKENS: readonly [pattern: RegExp, replacements: readonly string[]][] = [
  [/ < /g, [" <= ", " >= "]],
  [/ <= /g, [" < ", " > "]],
  [/ > /g, [" >= ", " <= "]],
  [/ >= /g, [" > ", " < "]],
  [/ === /g, [" !== "]],
  [/ !== /g, [" === "]],
  [/ && /g, [" || "]],
  [/ \|\| /g, [" && "]],
  [/ \+ /g, [" - "]],
  [/ - /g, [" + "]],
  [/ \+= /g, [" -= "]],
  [/ -= /g, [" += "]],
  [/\+\+/g, ["--"]],
  [/--/g, ["++"]],
  [/ & /g, [" | "]],
  [/ << /g, [" >>> "]],
  [/\btrue\b/g, ["false"]],
  [/\bfalse\b/g, ["true"]],
  [/(?<=[ (])!(?=[\w#(])/g, [""]],
  [/\bMath\.min\b/g, ["Math.max"]],
  [/\bMath\.max\b/g, ["Math.min"]],
  [/\bcontinue;/g, ["break;"]],
  [/(?<=[ ([])\d+(?=[,;) \]])/g, ["+1", "-1"]],
];

/** One changed token. */
interface Mutant {
  readonly file: string;
  readonly line: number;
  readonly before: string;
  readonly after: string;
  /** The whole file with the change. */
  readonly source: string;
}

/** A test file, and what it does without a change. */
interface TestFile {
  readonly name: string;
  /** Milliseconds. */
  readonly duration: number;
  /** The lines that it executes, by source. */
  readonly lines: ReadonlyMap<string, ReadonlySet<number>>;
  /** The number of all these lines. */
  readonly executed: number;
}

/** How a run of tests ended, or a mutant. */
interface Outcome {
  readonly verdict: "passed" | "failed" | "hung";
  /** The test file and its first error, or the files that ran when it hung. */
  readonly why: string;
}

/** A run of this script that can be stopped. */
const stop = new AbortController();

/** All changes that are possible in a file. Types, comments, strings and imports are left alone. */
function mutantsOf(file: string): Mutant[] {
  const source = fs.readFileSync(path.join(root, file), "utf8");
  const code = blank(source, { strings: true });
  const plain = withoutTypes(source);
  const mutants: Mutant[] = [];
  for (const [pattern, replacements] of TOKENS) {
    for (const match of code.matchAll(pattern)) {
      const at = match.index;
      const start = source.lastIndexOf("\n", at) + 1;
      const text = source.slice(start, source.indexOf("\n", at));
      if (/^\s*(import|export (type|interface)|type|interface|readonly(?!.* = )|@|\*)/.test(text)) continue;
      for (const replacement of replacements) {
        const token = match[0];
        const after = /^[+-]1$/.test(replacement) ? String(Number(token) + Number(replacement)) : replacement;
        const changed = source.slice(0, at) + after + source.slice(at + token.length);
        if (withoutTypes(changed) === plain) continue;
        mutants.push({
          file,
          line: source.slice(0, at).split("\n").length,
          before: text.trim(),
          after: (text.slice(0, at - start) + after + text.slice(at - start + token.length)).trim(),
          source: changed,
        });
      }
    }
  }
  return mutants;
}

/** The program in a source, to tell changes that only types have. */
function withoutTypes(source: string): string {
  try {
    return stripTypeScriptTypes(source).replace(/\s+/g, " ");
  } catch {
    return source; // Not valid.
  }
}

/** The TypeScript files of a folder, or the file itself, by name. */
function filesOf(source: string): string[] {
  if (source.endsWith(".ts")) return [source];
  return fs.readdirSync(path.join(root, source), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${source}/${name}`)
    .sort();
}

/** Does something with a copy of the repository; its packages are those of the original. */
async function withCopy(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "mutants-")));
  try {
    for (const name of fs.readdirSync(root)) {
      if (["node_modules", ".git", "dist"].includes(name)) continue;
      fs.cpSync(path.join(root, name), path.join(directory, name), { recursive: true });
    }
    fs.symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"));
    await use(directory);
  } finally {
    try {
      fs.rmSync(directory, { recursive: true, maxRetries: 10 });
    } catch (error) {
      // A test that was killed cannot unmount its file system.
      console.log(`${directory} is left: ${(error as Error).message}`);
    }
  }
}

/**
 * Runs test files in a copy until one fails, or until a limit.
 *
 * @param limits the time, and the time on a processor, in milliseconds
 */
function run(
  directory: string,
  tests: readonly string[],
  limits: { time: number; processor: number },
  coverage?: string,
): Promise<Outcome> {
  const temporary = fs.mkdtempSync(path.join(directory, "tmp-"));
  return new Promise((resolve) => {
    const options = ["-A", "--no-check", "--fail-fast"];
    if (coverage !== undefined) options.push(`--coverage=${coverage}`);
    const limited = `ulimit -t ${Math.ceil(limits.processor / 1000)}; exec "$@"`;
    const child = spawn("sh", ["-c", limited, "sh", process.execPath, "test", ...options, ...tests], {
      cwd: directory,
      env: {
        ...process.env,
        MQCAT_ORACLE: "recorded",
        NO_COLOR: "1",
        TMPDIR: temporary,
      },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // A group of its own, so that the programs of a test that hangs end with it.
    });
    const output: string[] = [];
    child.stdout.on("data", (bytes) => void output.push(String(bytes)));
    child.stderr.on("data", (bytes) => void output.push(String(bytes)));
    let hung = false;
    const end = () => killGroup(child.pid!);
    const timer = setTimeout(() => {
      hung = true;
      end();
    }, limits.time);
    stop.signal.addEventListener("abort", end);
    child.on("exit", (status, signal) => {
      clearTimeout(timer);
      stop.signal.removeEventListener("abort", end);
      end();
      // What a program that has just been killed still writes is removed with the copy.
      fs.rm(temporary, { recursive: true }, () => {});
      if (hung || signal !== null) return resolve({ verdict: "hung", why: tests.join(" ") });
      resolve(
        status === 0 ? { verdict: "passed", why: "" } : { verdict: "failed", why: reasonIn(output.join("")) },
      );
    });
  });
}

/** Ends a process and those that it started. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // All of them have ended.
  }
}

/** The test file that failed and its first error, in the output of the tests. */
function reasonIn(output: string): string {
  const at = output.search(/^ ERRORS|^error/m);
  const error = /^.*error.*$/im.exec(at < 0 ? output : output.slice(at).replace(/^ ERRORS.*/, ""));
  const files = Array.from(output.matchAll(/tests\/[\w/]+_test\.ts/g), ([name]) => name);
  const running = Array.from(output.matchAll(/^running .* from \.\/(.*)$/gm), ([, name]) => name!);
  return `${running.at(-1) ?? files[0] ?? "?"}: ${(error?.[0] ?? output.slice(-200)).trim().slice(0, 200)}`;
}

/** What the tests do without a change, from a file if it exists; otherwise it is written. */
async function plainTests(names: string[], jobs: number, file: string | undefined): Promise<TestFile[]> {
  if (file !== undefined && fs.existsSync(file)) {
    const saved = JSON.parse(fs.readFileSync(file, "utf8")) as [string, number, [string, number[]][]][];
    return saved.map(([name, duration, lines]) =>
      testFile(name, duration, new Map(lines.map(([source, numbers]) => [source, new Set(numbers)])))
    );
  }
  const tests = await runPlain(names, jobs);
  if (file !== undefined && !stop.signal.aborted) {
    const rows = tests.map(({ name, duration, lines }) =>
      [name, duration, Array.from(lines, ([source, numbers]) => [source, [...numbers]])] as const
    );
    fs.writeFileSync(file, JSON.stringify(rows));
  }
  return tests;
}

/** Runs each test file once without a change. A test that fails then would notice every mutant, so it is left out. */
async function runPlain(names: string[], jobs: number): Promise<TestFile[]> {
  const tests: TestFile[] = [];
  await inParallel(jobs, async (directory) => {
    for (let name; (name = names.shift()) !== undefined && !stop.signal.aborted;) {
      const coverage = path.join(directory, "coverage");
      const began = performance.now();
      let { verdict, why } = await run(directory, [name], PLAIN, coverage);
      const duration = performance.now() - began;
      const lines = linesIn(path.join(coverage, "lcov.info"), directory);
      fs.rmSync(coverage, { recursive: true, force: true });
      // Some tests measure memory, which counting takes.
      if (verdict !== "passed") ({ verdict, why } = await run(directory, [name], PLAIN));
      if (stop.signal.aborted) return;
      if (verdict === "passed") tests.push(testFile(name, duration, lines));
      else console.log(`left out, ${verdict} without a change: ${why}`);
    }
  });
  return tests;
}

function testFile(name: string, duration: number, lines: ReadonlyMap<string, ReadonlySet<number>>): TestFile {
  let executed = 0;
  for (const { size } of lines.values()) executed += size;
  return { name, duration, lines, executed };
}

/** The lines that were executed, by source, in a report of Deno. */
function linesIn(report: string, directory: string): Map<string, Set<number>> {
  const lines = new Map<string, Set<number>>();
  if (!fs.existsSync(report)) return lines;
  let current = new Set<number>();
  for (const text of fs.readFileSync(report, "utf8").split("\n")) {
    const source = /^SF:(.*)/.exec(text)?.[1];
    if (source !== undefined) lines.set(path.relative(directory, source), current = new Set());
    const [, line, count] = /^DA:(\d+),(\d+)/.exec(text) ?? [];
    if (line === undefined || count === "0") continue;
    for (let near = -NEAR; near <= NEAR; near++) current.add(Number(line) + near);
  }
  return lines;
}

/** Runs workers that have a copy of the repository each. */
async function inParallel(jobs: number, work: (directory: string) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: jobs }, () => withCopy(work)));
}

/**
 * The tests that execute a line, in batches: first those that are quick and execute little else, last the behaviour of
 * the broker.
 */
function testsOf({ file, line }: Mutant, tests: readonly TestFile[]): TestFile[][] {
  const costs = new Map<TestFile, number>();
  for (const test of tests) {
    const lines = test.lines.get(file);
    if (lines?.has(line)) costs.set(test, test.duration * test.executed / lines.size);
  }
  const batches: TestFile[][] = [];
  let sum = Infinity;
  let total = 0;
  for (const [test] of [...costs].sort(([, a], [, b]) => a - b)) {
    if (test.name === BEHAVIOUR) continue;
    if (total + test.duration > MUTANT_MS) continue;
    total += test.duration;
    if (sum + test.duration > BATCH_MS) {
      batches.push([]);
      sum = 0;
    }
    batches.at(-1)!.push(test);
    sum += test.duration;
  }
  const behaviour = tests.filter((test) => test.name === BEHAVIOUR && costs.has(test));
  return behaviour.length === 0 ? batches : [...batches, behaviour];
}

/** Runs the tests of a mutant in a copy until one notices it. */
async function judge(mutant: Mutant, tests: readonly TestFile[], directory: string): Promise<Outcome> {
  const batches = testsOf(mutant, tests);
  if (batches.length === 0) return { verdict: "passed", why: "no test executes the line" };
  const target = path.join(directory, mutant.file);
  const original = fs.readFileSync(target);
  fs.writeFileSync(target, mutant.source);
  try {
    for (const batch of batches) {
      const plain = batch.reduce((sum, { duration }) => sum + duration, 0);
      const limits = { time: HANG.more + HANG.factor * plain, processor: LOOP.more + LOOP.factor * plain };
      const names = batch.map(({ name }) => name);
      let outcome = await run(directory, names, limits);
      if (WAITED_IN_VAIN.test(outcome.why)) {
        outcome = await run(directory, names, limits);
        if (outcome.verdict === "failed") outcome = { ...outcome, why: `twice: ${outcome.why}` };
      }
      if (outcome.verdict !== "passed") return outcome;
    }
    return { verdict: "passed", why: `of ${batches.flat().length} test files` };
  } finally {
    fs.writeFileSync(target, original);
  }
}

function describe({ file, line, before, after }: Mutant): string {
  return `${file}:${line}\n  - ${before}\n  + ${after}`;
}

async function main(words: readonly string[]): Promise<number> {
  const names: string[] = [];
  let plain: string | undefined;
  let done = "";
  const given = { count: 50, seed: Date.now() % 2 ** 31, minutes: 30, jobs: os.availableParallelism() };
  for (let i = 0; i < words.length; i++) {
    const option = words[i]!.replace(/^--/, "") as keyof typeof given;
    if (words[i] === "--plain") plain = words[++i];
    else if (words[i] === "--done") done = fs.readFileSync(words[++i]!, "utf8");
    else if (option in given) given[option] = Number(words[++i]);
    else names.push(words[i]!);
  }
  const unknown = names.find((name) => !(name in AREAS));
  if (unknown !== undefined) {
    throw new Error(`no such area: ${unknown}; there are ${Object.keys(AREAS).join(", ")}`);
  }
  process.on("SIGINT", () => stop.abort()).on("SIGTERM", () => stop.abort());
  const end = performance.now() + given.minutes * 60_000;

  const sources = (names.length === 0 ? Object.keys(AREAS) : names).flatMap((name) => AREAS[name]!);
  const chance = new Chance(given.seed);
  const all = [...new Set(sources.flatMap(filesOf))].sort().flatMap(mutantsOf);
  const chosen: Mutant[] = [];
  while (chosen.length < given.count && all.length > 0) {
    chosen.push(...all.splice(chance.below(all.length), 1));
  }
  const left = chosen.filter((mutant) => !done.includes(describe(mutant)));
  console.log(`seed ${given.seed}: ${chosen.length} of ${chosen.length + all.length} possible mutants`);

  const files = TESTS.flatMap(filesOf).filter((name) => name.endsWith("_test.ts") && !NO_TESTS.test(name));
  const tests = await plainTests([...files, BEHAVIOUR], given.jobs, plain);
  console.log(`${tests.length} test files`);

  const counts = { passed: 0, failed: 0, hung: 0, behaviour: 0 };
  let judged = 0;
  await inParallel(given.jobs, async (directory) => {
    for (let mutant; performance.now() < end && (mutant = left.pop()) !== undefined;) {
      const began = performance.now();
      const { verdict, why } = await judge(mutant, tests, directory);
      if (stop.signal.aborted) return;
      judged++;
      counts[verdict]++;
      if (verdict !== "passed" && why.includes(BEHAVIOUR)) counts.behaviour++;
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      const word = { passed: "SURVIVED", failed: "noticed", hung: "hung" }[verdict];
      console.log(
        `${judged} (${counts.passed} survived) ${word} in ${seconds} s: ${describe(mutant)}\n  ${why}`,
      );
    }
  });
  const noticed = judged - counts.passed;
  console.log(
    `${noticed} of ${judged} noticed (${(100 * noticed / Math.max(1, judged)).toFixed(1)} %), ` +
      `${counts.hung} of them as a test hung, ${counts.behaviour} only by the behaviour of the broker`,
  );
  return 0;
}

process.exit(await main(process.argv.slice(2)));
