/** Which test files run where: see the head of `test.ts`. */
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { importsOf } from "../tests/support/source_scan.ts";
import { turnOf } from "../tests/support/turn.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The runtimes that the command line is repeated on: each commit takes one, or all of them with `MQCAT_RUNTIMES=all`. */
const RUNTIMES = ["deno", "bun", "node"];
/**
 * The tests of the command line that `all` repeats on Deno, on Bun from the source, or on Node: streams, terminals, signals, files,
 * child processes, sockets and TLS, which each runtime has its own code for. Words, formats and filters are the same on each
 * runtime; the clients of brokers are tested with the library, on Deno and on Bun.
 */
const ON_EACH_RUNTIME = [
  "conversation_test.ts",
  "echo_test.ts",
  "ending_test.ts",
  "endpoints_test.ts",
  "errors_test.ts",
  "exec_test.ts",
  "output_test.ts",
  "pipeline_test.ts",
  "prompt_test.ts",
  "queue_serve_test.ts",
  "queue_stop_test.ts",
  "ready_test.ts",
  "review_test.ts",
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

/** What the caller asked for. */
export interface Wanted {
  /** The test files that the caller chose; undefined for all of them. */
  readonly chosen: readonly string[] | undefined;
  /** Whether all tests run again on the other runtimes where the result can differ. */
  readonly hasRepeats: boolean;
  readonly onlyBun: boolean;
}

/** One run of a test runner. */
export interface Run {
  readonly name: string;
  /** The command without the tests. */
  readonly command: readonly string[];
  /** The test files. */
  readonly files: readonly string[];
  /** What the command gets: the files, or modules that import them. */
  readonly tests: readonly string[];
  readonly env: Record<string, string>;
}

const DENO_TEST = [process.execPath, "test", "-A", "--no-check", "--parallel", "--junit-path=REPORT"];

/**
 * The runs, of which a few run at a time: the library waits more than it computes, the command line computes more than it
 * waits. Faults take long, so they are tested in the binary; `deno task test fault` tests them on Deno and Bun, too.
 *
 * @param bun the path of Bun
 * @param scratch a folder for modules
 */
export function plan({ onlyBun, hasRepeats, chosen }: Wanted, bun: string, scratch: string): Run[] {
  const runs: Run[] = [];
  const onDeno = (name: string, files: readonly string[], target?: string) => {
    const env: Record<string, string> = target === undefined ? {} : { MQCAT_TARGET: target };
    const tests = grouped(files, path.join(scratch, name.replaceAll(/\W+/g, "-")));
    if (files.length > 0) runs.push({ name, command: DENO_TEST, files, tests, env });
  };
  const onBun = (name: string, files: readonly string[]) => {
    const preload = "--preload=./tests/support/short_properties.ts";
    const report = ["--reporter=junit", "--reporter-outfile=REPORT"];
    const command = [bun, "test", "--timeout", "120000", preload, ...report];
    if (files.length > 0) runs.push({ name, command, files, tests: files, env: {} });
  };
  const filesOf = (name: string) => testsIn(name).filter((file) => chosen?.includes(file) ?? true);
  const library = [...filesOf("unit"), ...filesOf("property")];
  const peers = filesOf("interop");
  const programs = filesOf("cli");
  const faults = filesOf("fault");
  /** The files with these names, or those without; all of them if the caller chose files. */
  const pick = (files: readonly string[], names: readonly string[], isWanted: boolean) => {
    if (chosen !== undefined) return files;
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
  // A few run at a time, so the longest come first.
  const repeats = hasRepeats || chosen !== undefined;
  onDeno("command line, binary", programs, "binary");
  onDeno("faults, binary", faults, "binary");
  if (repeats) onBun("library on Bun", pick([...library, ...peers], DENO_ONLY, false));
  onDeno("interop on Deno", peers);
  onDeno("library on Deno", library);
  if (!repeats) return runs;
  const isPart = chosen === undefined && process.env["MQCAT_RUNTIMES"] !== "all";
  for (const target of isPart ? turnOf(RUNTIMES, RUNTIMES.length) : RUNTIMES) {
    onDeno(`command line, ${target}`, pick(programs, ON_EACH_RUNTIME, true), target);
  }
  // Only on Deno can a process be started at the limit of processes.
  onDeno("faults, deno", pick(faults, ["limits_test.ts"], true), "deno");
  if (chosen !== undefined) onDeno("faults, bun", faults, "bun");
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

/**
 * The test files at places that the caller named: folders or files of `tests/`, with or without that name before them.
 *
 * @throws {Error} there are none at a place
 */
export function testsAt(places: readonly string[]): string[] {
  const all = ["unit", "property", "interop", "cli", "fault"].flatMap(testsIn);
  return places.flatMap((place) => {
    const below = `tests/${path.normalize(place).replace(/^tests(\/|$)/, "")}`.replace(/\/$/, "");
    const found = all.filter((file) => file === below || file.startsWith(`${below}/`));
    if (found.length > 0) return found;
    throw new Error(
      `There are no tests at "${place}": name a folder or a file of tests/, such as cli or unit/amqp`,
    );
  });
}

/** The test files of a folder. */
function testsIn(folder: string): string[] {
  return fs.readdirSync(`${root}tests/${folder}`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith("_test.ts"))
    .sort()
    .map((file) => `tests/${folder}/${file}`);
}

/**
 * The test files that have a file's tests: itself, or those that import it, as a suite is in files of its own.
 *
 * @param files the test files of a run
 */
export function testFilesOf(file: string, files: readonly string[]): string[] {
  return files.includes(file) ? [file] : files.filter((other) => isImported(file, other, new Set()));
}

/** Whether a file is among the imports of another one, or among theirs. */
function isImported(file: string, by: string, seen: Set<string>): boolean {
  if (seen.has(by)) return false;
  seen.add(by);
  const imports = importsOf(fs.readFileSync(root + by, "utf8"))
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier }) => path.join(path.dirname(by), specifier))
    .filter((imported) => imported.startsWith("tests/"));
  return imports.includes(file) || imports.some((imported) => isImported(file, imported, seen));
}
