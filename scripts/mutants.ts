/**
 * Checks the tests: changes one token of the sources at a time and runs the unit and property tests of that area, and
 * for the broker the suite of its behaviour against RabbitMQ's recorded responses.
 * A mutant that no test notices is printed with its line; some of them do not change behaviour, so the list needs a reader.
 *
 *   deno task mutants [--count N] [--seed N] [--minutes N] [--jobs N] [AREA…]
 *
 * Defaults: 50 mutants, 30 minutes, one job for each core. The mutants are made in copies of the repository, and the
 * seed that is printed repeats a run.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { blank } from "../tests/support/source_scan.ts";
import { Chance } from "./fuzz/mutate.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/**
 * A mutant counts as noticed when its tests take so many times longer than without a change, and at least so long, in
 * milliseconds: it made something hang.
 */
const HANG = { factor: 4, least: 180_000 };

/** The time limit of the tests without a change, in milliseconds. */
const BASELINE_MS = 20 * 60_000;

/** Sources, and the tests that are expected to notice a change in them. */
interface Area {
  readonly name: string;
  readonly sources: readonly string[];
  /** In stages, the quickest first: most mutants are noticed by the first ones. */
  readonly tests: readonly (readonly string[])[];
}

/** What our broker does, also compared with the recorded responses of RabbitMQ. */
const BROKER = [
  [
    "tests/unit/broker/amqp",
    "tests/unit/broker/core/exchange",
    "tests/unit/broker/core/topology",
    "tests/unit/broker/core/users",
  ],
  ["tests/property/deliveries_test.ts", "tests/property/topology_test.ts", "tests/property/lane_test.ts"],
  ["tests/interop/amqp/behaviour_test.ts"],
  [
    "tests/unit/broker/core/definitions",
    "tests/unit/broker/http",
    "tests/unit/broker/mqtt",
    "tests/unit/broker/stomp",
  ],
  fs.readdirSync(`${root}tests/unit/broker`).filter((name) => name.endsWith(".ts")).map((name) =>
    `tests/unit/broker/${name}`
  ),
];

const AREAS: readonly Area[] = [
  {
    name: "zmtp",
    sources: ["lib/zmtp"],
    tests: [
      ["tests/unit/zmtp"],
      [
        "tests/property/frames_test.ts",
        "tests/property/frames_hostile_test.ts",
        "tests/property/outbox_test.ts",
        "tests/property/commands_test.ts",
        "tests/property/curve_cipher_test.ts",
        "tests/property/z85_test.ts",
      ],
      ["tests/unit/zmq"],
    ],
  },
  {
    name: "zmq",
    sources: ["lib/zmq"],
    tests: [
      ["tests/property/topic_test.ts", "tests/property/last_values_test.ts"],
      ["tests/unit/zmq"],
      ["tests/unit/zmtp"],
    ],
  },
  {
    name: "amqp",
    sources: ["lib/amqp"],
    tests: [
      ["tests/unit/amqp"],
      ["tests/property/amqp_codec_test.ts", "tests/property/amqp_frames_test.ts"],
      ["tests/unit/broker/amqp", "tests/interop/amqp/behaviour_test.ts"],
    ],
  },
  {
    name: "client",
    sources: ["lib/amqp/client", "lib/link"],
    tests: [["tests/unit/amqp/client", "tests/unit/link"], ["tests/unit/patterns"]],
  },
  {
    name: "journal",
    sources: ["lib/broker/core/journal"],
    tests: [
      ["tests/unit/broker/core/journal/formats_test.ts", "tests/unit/broker/core/journal/parts_test.ts"],
      ["tests/property/journal_test.ts"],
      ["tests/unit/broker/durable_test.ts", "tests/unit/broker/full_test.ts"],
      ["tests/unit/broker/core/journal"],
      ["tests/unit/broker/lost_test.ts"],
    ],
  },
  {
    name: "queue",
    sources: ["lib/broker/core/queue", "lib/broker/core/intake.ts", "lib/broker/core/dead_letter.ts"],
    tests: [...BROKER, ["tests/property/journal_test.ts"]],
  },
  {
    name: "routing",
    sources: ["lib/broker/core/exchange", "lib/broker/core/topology", "lib/broker/core/users"],
    tests: [["tests/property/topic_test.ts"], ...BROKER],
  },
  { name: "channel", sources: ["lib/broker/amqp"], tests: BROKER },
];

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
  readonly area: Area;
  readonly file: string;
  readonly line: number;
  readonly before: string;
  readonly after: string;
  /** The whole file with the change. */
  readonly source: string;
}

type Verdict = "noticed" | "survived";

/** All changes that are possible in a file. Types, comments, strings and imports are left alone. */
function mutantsOf(area: Area, file: string): Mutant[] {
  const source = fs.readFileSync(path.join(root, file), "utf8");
  const code = blank(source, { strings: true });
  const mutants: Mutant[] = [];
  for (const [pattern, replacements] of TOKENS) {
    for (const match of code.matchAll(pattern)) {
      const at = match.index;
      const start = source.lastIndexOf("\n", at) + 1;
      const text = source.slice(start, source.indexOf("\n", at));
      if (/^\s*(import|export (type|interface)|type|interface|readonly|@|\*)/.test(text)) continue;
      for (const replacement of replacements) {
        const token = match[0];
        const after = /^[+-]1$/.test(replacement) ? String(Number(token) + Number(replacement)) : replacement;
        mutants.push({
          area,
          file,
          line: source.slice(0, at).split("\n").length,
          before: text.trim(),
          after: (text.slice(0, at - start) + after + text.slice(at - start + token.length)).trim(),
          source: source.slice(0, at) + after + source.slice(at + token.length),
        });
      }
    }
  }
  return mutants;
}

function filesOf(area: Area): string[] {
  return area.sources.flatMap((source) => {
    if (source.endsWith(".ts")) return [source];
    return fs.readdirSync(path.join(root, source), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `${source}/${name}`);
  }).sort();
}

/** A copy of the repository to change; its packages are those of the original. */
function copyOf(directory: string): void {
  for (const name of ["lib", "cli", "tests", "scripts", "mod.ts", "deno.json", "deno.lock", "README.md"]) {
    fs.cpSync(path.join(root, name), path.join(directory, name), { recursive: true });
  }
  fs.symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"));
}

/**
 * Runs the tests in a copy that has the mutant: first the nearest ones, which notice most, then all of the area.
 *
 * @param limit the time limit of each run, in milliseconds
 */
async function judge({ area, file, source }: Mutant, directory: string, limit: number): Promise<Verdict> {
  const target = path.join(directory, file);
  const original = fs.readFileSync(target);
  fs.writeFileSync(target, source);
  try {
    const near = nearestTests(file);
    if (near !== undefined && await run(directory, [near], limit) === "noticed") return "noticed";
    return await runAll(directory, area.tests, limit);
  } finally {
    fs.writeFileSync(target, original);
  }
}

/** The test file, or else the deepest folder of tests, that mirrors a source; undefined if there is neither. */
function nearestTests(file: string): string | undefined {
  const mirror = file.replace(/^lib\//, "tests/unit/");
  const own = mirror.replace(/\.ts$/, "_test.ts");
  if (fs.existsSync(path.join(root, own))) return own;
  const folder = path.dirname(mirror);
  return fs.existsSync(path.join(root, folder)) ? folder : undefined;
}

/** Runs the stages until one notices the change. */
async function runAll(directory: string, stages: Area["tests"], limit: number): Promise<Verdict> {
  for (const tests of stages) {
    if (await run(directory, tests, limit) === "noticed") return "noticed";
  }
  return "survived";
}

function run(directory: string, tests: readonly string[], limit: number): Promise<Verdict> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["test", "-A", "--no-check", "--quiet", "--fail-fast", ...tests], {
      cwd: directory,
      env: { ...process.env, MQCAT_ORACLE: "recorded" },
      stdio: "ignore",
      detached: true, // A group of its own, so that the programs of a test that hangs end with it.
    });
    const timer = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), limit);
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve(status === 0 ? "survived" : "noticed");
    });
  });
}

async function main(words: readonly string[]): Promise<number> {
  const names: string[] = [];
  const given = { count: 50, seed: Date.now() % 2 ** 31, minutes: 30, jobs: os.availableParallelism() };
  for (let i = 0; i < words.length; i++) {
    const option = words[i]!.replace(/^--/, "") as keyof typeof given;
    if (option in given) given[option] = Number(words[++i]);
    else names.push(words[i]!);
  }
  const areas = AREAS.filter(({ name }) => names.length === 0 || names.includes(name));
  if (areas.length === 0) {
    throw new Error(`no such area; there are ${AREAS.map(({ name }) => name).join(", ")}`);
  }
  const chance = new Chance(given.seed);
  const all = areas.flatMap((area) => filesOf(area).flatMap((file) => mutantsOf(area, file)));
  const chosen: Mutant[] = [];
  while (chosen.length < given.count && all.length > 0) {
    chosen.push(...all.splice(chance.below(all.length), 1));
  }
  console.log(`seed ${given.seed}: ${chosen.length} of ${chosen.length + all.length} possible mutants`);

  // A test that fails without a change would notice every mutant.
  const plain = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-mutants-"));
  const limits = new Map<Area, number>();
  try {
    copyOf(plain);
    for (const area of areas) {
      const began = performance.now();
      if (await runAll(plain, area.tests, BASELINE_MS) === "noticed") {
        throw new Error(`the tests of ${area.name} fail without a change`);
      }
      limits.set(area, Math.max(HANG.least, HANG.factor * (performance.now() - began)));
    }
  } finally {
    fs.rmSync(plain, { recursive: true });
  }

  const end = performance.now() + given.minutes * 60_000;
  const survivors: Mutant[] = [];
  let judged = 0;
  const work = async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-mutants-"));
    try {
      copyOf(directory);
      for (let mutant; performance.now() < end && (mutant = chosen.pop());) {
        const verdict = await judge(mutant, directory, limits.get(mutant.area)!);
        judged++;
        if (verdict === "noticed") continue;
        survivors.push(mutant);
        console.log(`survived: ${mutant.file}:${mutant.line}\n  - ${mutant.before}\n  + ${mutant.after}`);
      }
    } finally {
      fs.rmSync(directory, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: given.jobs }, work));
  const noticed = judged - survivors.length;
  console.log(`${noticed} of ${judged} noticed (${(100 * noticed / Math.max(1, judged)).toFixed(1)} %)`);
  return 0;
}

process.exit(await main(process.argv.slice(2)));
