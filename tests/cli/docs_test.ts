/**
 * Runs the shell examples of README.md, docs/*.md, cli/help/topics/*.md and cli/cheats/*.md with bash, as a reader would
 * paste them.
 *
 * Except in a cheat, an example is a block that is fenced as `sh` or, for a program, `ts` (a `console` block is not run). In a cheat it is a block
 * that is indented by four spaces. The expected output is the next block if it is fenced as `text`, or, in a cheat, if
 * it follows the line "It prints:". An example must exit with 0, and all processes that it starts must end by
 * themselves.
 *
 * Examples name fixed ports, files in /tmp or in the home directory, and abstract sockets; each run replaces them by
 * its own.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { after, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { Program, run, shim, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The time limit of one example, in milliseconds. */
const DEADLINE = 20_000;
/** Debian's Python has pyzmq; another Python that is earlier on PATH may not. */
const PYTHON = "/usr/bin/python3";
const hasModule = (name: string) =>
  spawnSync(PYTHON, ["-c", `import ${name}`], { stdio: "ignore" }).status === 0;
const hasZmq = hasModule("zmq");
const hasPika = hasModule("pika");
/** The foreign programs that examples may use, and a pattern that finds their use. */
const PEERS = [
  ["pyzmq", /import zmq/, hasZmq],
  ["pika", /import .*pika/, hasPika],
  ["nc", /\bnc /],
  ["ncat", /\bncat /],
  ["socat", /\bsocat /],
  [
    "openssl",
    /\bopenssl /,
  ],
] as const;

interface Example {
  readonly file: string;
  /** The line number of the script's first line; the file starts with line 1. */
  readonly line: number;
  readonly script: string;
  readonly output: string | undefined;
}

interface Block {
  readonly line: number;
  readonly kind: "sh" | "text" | "ts" | "other";
  readonly text: string;
}

/** The fenced blocks of a Markdown text. A `text` block counts only directly after an `sh` block. */
function fencedBlocks(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let proseSince = true;
  for (let at = 0; at < lines.length; at++) {
    const fence = /^```(\w*(?: \S+)?)$/.exec(lines[at]!);
    if (fence === null) {
      proseSince ||= lines[at] !== "";
      continue;
    }
    const end = lines.indexOf("```", at + 1);
    assert.ok(end > 0, `line ${at + 1}: the block has no end`);
    const kind = kindOf(fence[1]!, proseSince);
    blocks.push({ line: at + 2, kind, text: lines.slice(at + 1, end).join("\n") });
    proseSince = false;
    at = end;
  }
  return blocks;
}

function kindOf(language: string, proseSince: boolean): Block["kind"] {
  if (language === "sh" || language === "ts") return language;
  return language === "text" && !proseSince ? "text" : "other";
}

/** The indented blocks of a cheat. A block directly after "It prints:" has the kind `text`. */
function indentedBlocks(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let said = "";
  for (let at = 0; at < lines.length; at++) {
    if (lines[at] === "") continue;
    if (!lines[at]!.startsWith("    ")) {
      said = lines[at]!;
      continue;
    }
    let end = at;
    while (lines[end]?.startsWith("    ")) end++;
    const text = lines.slice(at, end).map((line) => line.slice(4)).join("\n");
    blocks.push({ line: at + 1, kind: said === "It prints:" ? "text" : "sh", text });
    at = end;
  }
  return blocks;
}

function blocksOf(file: string): Block[] {
  const lines = fs.readFileSync(path.join(ROOT, file), "utf8").split("\n");
  return file.startsWith("cli/cheats/") ? indentedBlocks(lines) : fencedBlocks(lines);
}

function examplesOf(file: string): Example[] {
  const blocks = blocksOf(file);
  return blocks.flatMap(({ line, kind, text }, at) => {
    if (kind !== "sh") return [];
    const next = blocks[at + 1];
    return [{ file, line, script: text, output: next?.kind === "text" ? `${next.text}\n` : undefined }];
  });
}

/** Replaces the ports, paths and names that two runs of one example must not share. */
async function isolator(script: string, dir: string): Promise<(text: string) => string> {
  const ports = new Map<string, number>();
  for (const [, port] of script.matchAll(/:(\d{4,5})\b/g)) {
    if (!ports.has(port!)) ports.set(port!, await freePort());
  }
  const unique = path.basename(dir);
  return (text) =>
    text
      .replaceAll(/(?<![\w.])\d{4,5}\b/g, (number) => String(ports.get(number) ?? number))
      .replaceAll(/ipc:\/\/@([\w-]+)/g, `ipc://@$1-${unique}`)
      .replaceAll(/\/tmp\/|~\//g, `${dir}/`);
}

/**
 * Runs after an example: every background process must also end successfully, or by a signal that it was sent. The
 * shell may have forgotten a process that has already ended (127).
 */
const EPILOGUE = `
failed=0
for job in $(jobs -p); do wait "$job" || { status=$?; [ $status -ge 127 ] || failed=$status; }; done
exit $failed`;

const bin = shim();
if (hasZmq || hasPika) fs.symlinkSync(PYTHON, bin.file("python3"));
after(() => bin.remove());

async function runExample({ script, output }: Example): Promise<void> {
  using dir = tempDir();
  const isolate = await isolator(script, dir.path);
  const commands = isolate(script);
  using bash = new Program(["bash", "-e", "-c", `${commands}\n${EPILOGUE}`], {
    cwd: dir.path,
    env: { PATH: `${bin.path}:${process.env["PATH"]}`, XDG_CONFIG_HOME: dir.file(".config") },
  });
  const { code, stdout, stderr } = await bash.exit(DEADLINE);
  assert.equal(code, 0, `it exited with ${code}\n${commands}\nstderr: ${stderr}\nstdout: ${stdout}`);
  if (output !== undefined) {
    assert.equal(stdout.toString(), isolate(output), `${commands}\nstderr: ${stderr}`);
  }
}

/** Runs a program of the library's pages. A comment after `console.log(…);` is its output. */
async function runProgram(text: string): Promise<void> {
  using dir = tempDir();
  const mod = JSON.stringify(`file://${ROOT}mod.ts`);
  fs.writeFileSync(dir.file("example.ts"), text.replaceAll(/"(\.\.?\/mod\.ts|mqcat)"/g, mod));
  const printed: string[] = [];
  const { log } = console;
  console.log = (...words: unknown[]) => {
    printed.push(words.map((word) => typeof word === "string" ? word : JSON.stringify(word)).join(" "));
  };
  try {
    await import(`file://${dir.file("example.ts")}`);
  } finally {
    console.log = log;
  }
  const expected = [...text.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, output]) => output!);
  const withoutSpaces = (lines: string[]) => lines.map((line) => line.replaceAll(" ", ""));
  assert.deepEqual(withoutSpaces(printed), withoutSpaces(expected));
}

function define(example: Example): void {
  const name = `${example.file}:${example.line} - ${example.script.split("\n").at(-1)}`;
  const peers = PEERS.filter(([, words]) => words.test(example.script));
  const missing = peers.map(([peer, , present]) => requirePeer(peer, present));
  const body = () => runExample(example);
  // Examples without foreign peers use the timeout of `test`. With several peers, the first missing one decides.
  (missing[0] ?? test)(name, body);
}

/** The examples of the other queue commands need a broker: queue_test.ts and queue_serve_test.ts run them. */
const cheats = fs.readdirSync(path.join(ROOT, "cli/cheats")).filter((name) =>
  /^(?!queue-)[a-z-]+\.md$|^queue-(serve|run|page)\.md$/.test(name)
)
  .sort();

const markdown = ["docs", "cli/help/topics"].flatMap((folder) =>
  fs.readdirSync(path.join(ROOT, folder)).filter((name) => name.endsWith(".md")).sort()
    .map((name) => `${folder}/${name}`)
);

describe("docs", () => {
  test("the demo of the README succeeds, and leaves no files", async () => {
    using dir = tempDir();
    const deno = process.env["MQCAT_DENO"] ?? "deno";
    using demo = new Program([deno, "run", "-A", "--no-check", path.join(ROOT, "scripts/demo.ts")], {
      env: { TMPDIR: dir.path },
    });
    const { code, stdout, stderr } = await demo.exit(80_000);
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout.toString(), /All parts succeeded/);
    assert.deepEqual(fs.readdirSync(dir.path), []);
  });

  for (const file of ["README.md", ...markdown, ...cheats.map((name) => `cli/cheats/${name}`)]) {
    for (const example of examplesOf(file)) define(example);
    for (const { line, kind, text } of blocksOf(file)) {
      if (kind === "ts") {
        test(`${file}:${line} - the program prints what its comments say`, () => runProgram(text));
      }
    }
  }

  for (const command of cheats.map((name) => name.replace(".md", ""))) {
    test(`${command} --help-all - ends with its examples and the exit codes`, async () => {
      const { code, stdout } = await run([
        ...command.replace(/^(queue|context)-/, "$1 ").split(" "),
        "--help-all",
      ]);
      const cheat = fs.readFileSync(path.join(ROOT, "cli/cheats", `${command}.md`), "utf8");
      assert.equal(code, 0);
      const [words, ending] = [stdout.toString(), `${cheat} Exit codes: 0 success, `].map((text) =>
        text.replaceAll(/\s+/g, " ")
      );
      assert.ok(words!.includes(ending!), stdout.toString());
    });
  }
});
