/** Checks the rules of the architecture for every source file: the direction of imports, import circles, runtimes. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { importsOf, linesWith, stringsOf } from "../support/source_scan.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The folders that a folder of lib/ may import, besides itself and the files directly in lib/. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  bytes: [],
  regex: [],
  transport: [],
  zmtp: ["transport"],
  zmq: ["zmtp", "transport"],
  link: ["bytes", "transport"],
  amqp: ["bytes", "link", "transport"],
  mqtt: ["bytes", "link", "transport"],
  stomp: ["bytes", "amqp", "crossing", "link", "transport"],
  crossing: ["amqp", "mqtt", "stomp", "bytes"],
  filter: ["amqp", "link", "bytes", "regex"],
  page: [],
  broker: ["amqp", "mqtt", "stomp", "crossing", "filter", "page", "bytes", "regex", "transport"],
  patterns: [
    "zmq",
    "zmtp",
    "amqp",
    "mqtt",
    "stomp",
    "crossing",
    "filter",
    "link",
    "bytes",
    "regex",
    "transport",
  ],
  echo: ["transport"],
  probe: ["zmtp", "amqp", "mqtt", "bytes", "transport"],
  wire: ["zmtp", "amqp", "mqtt", "stomp", "bytes", "transport"],
};

/** The parts of lib/broker that a part may import, besides itself; `.` is the files directly in lib/broker. */
const BROKER_MAY_IMPORT: Record<string, readonly string[]> = {
  ".": ["core", "amqp", "mqtt", "stomp", "http", "testing"],
  core: [],
  testing: ["core"],
  amqp: ["core"],
  mqtt: ["core"],
  stomp: ["core"],
  http: ["core", "testing"],
};

/** The files directly in lib/broker that its folders may import: contracts, without the server. */
const BROKER_CONTRACTS = ["lib/broker/protocol.ts", "lib/broker/options.ts"];

/** The import circles of lib/ that are accepted: a queue and its consumer know each other. */
const CIRCLES = ["lib/broker/core/queue/consumer.ts lib/broker/core/queue/queue.ts"];

/** Built-in modules that do no I/O. */
const PURE_BUILTINS = ["node:crypto", "node:buffer", "node:assert/strict"];
/** Packages that do no I/O. */
const PURE_PACKAGES = ["libsodium-sumo"];

const RUNTIME_FOLDER = "lib/transport/runtime/";

function sources(folder: string): string[] {
  return fs.readdirSync(path.join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** `lib/zmtp/batch.ts` -> `zmtp`; undefined for files directly in lib/. */
function layerOf(file: string): string | undefined {
  return /^lib\/([^/]+)\//.exec(file)?.[1];
}

/** `lib/broker/core/cycle.ts` -> `core`, `lib/broker/server.ts` -> `.`; undefined outside of lib/broker. */
function brokerPartOf(file: string): string | undefined {
  const found = /^lib\/broker\/(?:([^/]+)\/)?/.exec(file);
  return found === null ? undefined : found[1] ?? ".";
}

/** The clients are the only parts of the protocols' folders that may open a stream. */
function isClient(file: string): boolean {
  return /^lib\/(amqp|mqtt|stomp)\/client\//.test(file);
}

/** Codecs convert bytes and values. */
function isCodec(file: string): boolean {
  return /^lib\/(bytes|zmtp|amqp|mqtt|stomp)\//.test(file) && !isClient(file);
}

/** All violations of the rules in a file, as "file:line description". */
function violations(file: string, source: string): string[] {
  const found: string[] = [];
  for (const { line, specifier, typeOnly } of importsOf(source)) {
    const wrong = judge(file, specifier, typeOnly);
    if (wrong !== undefined) found.push(`${file}:${line} imports ${specifier}: ${wrong}`);
  }
  if (!file.startsWith(RUNTIME_FOLDER)) {
    for (const { line, text } of linesWith(source, /\b(?:Deno|Bun)\b/)) {
      found.push(`${file}:${line} names a runtime outside ${RUNTIME_FOLDER}: ${text}`);
    }
  }
  if (file.startsWith("lib/")) {
    for (const { line, text } of stringsOf(source)) {
      const option = /(?:^|[\s'"(`])(--[a-z][a-z-]+)/.exec(text)?.[1];
      if (option !== undefined) found.push(`${file}:${line} names an option of the command line: ${option}`);
    }
  }
  return found;
}

/** The circles among imports: each a list of files that import each other, as "file file …". */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  // Tarjan's algorithm: strongly connected components of more than one file.
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!));
    }
    if (low.get(file) !== index.get(file)) return;
    const component = stack.splice(stack.indexOf(file));
    if (component.length > 1) found.push(component.sort().join(" "));
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found.sort();
}

/** The files of `files` that each of them imports. */
function importGraph(files: readonly string[]): Map<string, string[]> {
  return new Map(files.map((file) => {
    const source = fs.readFileSync(path.join(ROOT, file), "utf8");
    const targets = importsOf(source)
      .map(({ specifier }) => path.posix.join(path.posix.dirname(file), specifier))
      .filter((target) => files.includes(target));
    return [file, targets];
  }));
}

function judgeBroker(file: string, target: string): string | undefined {
  const from = brokerPartOf(file);
  const to = brokerPartOf(target);
  if (from === undefined || to === undefined || from === to) return undefined;
  const allowed = BROKER_MAY_IMPORT[from];
  if (allowed === undefined) return `lib/broker/${from} has no rule in tests/unit/imports_test.ts`;
  if (to === "." && BROKER_CONTRACTS.includes(target)) {
    return from === "core" ? "the core of the broker knows nothing around it" : undefined;
  }
  if (allowed.includes(to)) return undefined;
  return `broker/${from} may import ${
    allowed.map((name) => `broker/${name}`).join(", ") || "no other part of broker"
  }`;
}

function judge(file: string, specifier: string, typeOnly: boolean): string | undefined {
  const inLib = file.startsWith("lib/");
  if (!specifier.startsWith(".")) {
    if (/^(bun|deno|ext|jsr|https?):/.test(specifier) && !file.startsWith(RUNTIME_FOLDER)) {
      return "not available on both runtimes";
    }
    if (isCodec(file) && ![...PURE_BUILTINS, ...PURE_PACKAGES].includes(specifier)) {
      return "a codec does no I/O";
    }
    return undefined;
  }
  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (target.startsWith("cli/") && !file.startsWith("cli/")) return "only cli may import from cli";
  if (!inLib) {
    return /^(lib\/|cli\/|mod\.ts$|deno\.json$|package\.json$)/.test(target)
      ? undefined
      : "outside of the program";
  }
  // deno.json has the version, and nothing else that lib reads.
  if (target === "deno.json" && file === "lib/broker/options.ts") return undefined;
  if (!target.startsWith("lib/")) return "lib stands alone";
  const from = layerOf(file);
  const to = layerOf(target);
  if (from === "broker" && to === "broker") return judgeBroker(file, target);
  if (from === "broker" && isClient(target)) return "the broker does not use the client";
  if (to === undefined || from === to) {
    return isCodec(file) && isClient(target) ? "a codec does no I/O" : undefined;
  }
  if (from === undefined) return "the files in lib/ are shared by all its folders and import none of them";
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `lib/${from} has no rule in tests/unit/imports_test.ts`;
  if (!allowed.includes(to)) return `${from} may import ${allowed.join(", ") || "no other folder"}`;
  if (isCodec(file) && to !== "bytes" && !(typeOnly && target === "lib/transport/stream.ts")) {
    return "a codec may import only the types of lib/transport/stream.ts, and lib/bytes";
  }
  return undefined;
}

describe("imports", () => {
  it("imports - every file of lib, cli and mod.ts follows the rules", () => {
    const files = [...sources("lib"), ...sources("cli")];
    assert.ok(files.includes("lib/zmtp/connection.ts"), "the scan did not find the sources");
    if (fs.existsSync(path.join(ROOT, "mod.ts"))) files.push("mod.ts");
    const found = files.flatMap((file) => violations(file, fs.readFileSync(path.join(ROOT, file), "utf8")));
    assert.equal(found.join("\n"), "");
  });

  it("imports - no files import each other in a circle, but a queue and its consumer", () => {
    const files = [...sources("lib"), ...sources("cli")];
    const found = circles(importGraph(files)).filter((circle) => !CIRCLES.includes(circle));
    assert.equal(found.map((circle) => `import circle:\n  ${circle.replaceAll(" ", "\n  ")}`).join("\n"), "");
  });

  it("tests - none changes the environment or the working directory: files that run at the same time share them", () => {
    const changing = /process\.(chdir|umask)\(|process\.env[^=;,)]* \??=[^=]|delete process\.env/;
    const found = sources("tests").flatMap((file) =>
      linesWith(fs.readFileSync(path.join(ROOT, file), "utf8"), changing)
        .map(({ line, text }) => `${file}:${line}: ${text}`)
    );
    assert.equal(found.join("\n"), "");
  });

  it("imports - the check for circles finds circles of any length, and only them", () => {
    const graph = { a: ["b", "d"], b: ["c"], c: ["a"], d: ["e"], e: ["d", "f"], f: [] };
    assert.deepEqual(circles(new Map(Object.entries(graph))), ["a b c", "d e"]);
  });

  it("imports - each package is loaded by one file, and libsodium only when it is asked for", () => {
    const importersOf = (name: string) =>
      [...sources("lib"), ...sources("cli")].filter((file) =>
        importsOf(fs.readFileSync(path.join(ROOT, file), "utf8")).some(({ specifier }) => specifier === name)
      );
    assert.deepEqual(importersOf("commander"), ["cli/app/parser.ts"]);
    assert.deepEqual(importersOf("smol-toml"), ["cli/contexts/config.ts"]);
    const [nacl] = importersOf("libsodium-sumo");
    assert.deepEqual(importersOf("libsodium-sumo"), ["lib/zmtp/mechanisms/nacl.ts"]);
    assert.match(fs.readFileSync(path.join(ROOT, nacl!), "utf8"), /await import\("libsodium-sumo"\)/);
  });

  it("imports - the scan finds every import", () => {
    const source = fs.readFileSync(path.join(ROOT, "lib/transport/schemes/tls.ts"), "utf8");
    const specifiers = importsOf(source).map((found) => found.specifier);
    for (
      const expected of ["../endpoint_types.ts", "./row.ts", "./text.ts", "../host.ts", "../tls_socket.ts"]
    ) {
      assert.ok(specifiers.includes(expected), `${expected} was not seen among ${specifiers.join(" ")}`);
    }
  });

  const refused: [file: string, source: string, words: RegExp][] = [
    [
      "lib/zmq/push.ts",
      'import { x } from "../../cli/main.ts";',
      /push\.ts:1 .*only cli may import from cli/,
    ],
    ["mod.ts", 'export { x } from "./cli/main.ts";', /only cli may import from cli/],
    ["lib/transport/x.ts", '\n\nimport { x } from "../zmtp/batch.ts";', /x\.ts:3 .*no other folder/],
    ["lib/zmtp/x.ts", 'export * from "../zmq/push.ts";', /zmtp may import transport/],
    [
      "lib/broker/x.ts",
      'import "../zmtp/batch.ts";',
      /broker may import amqp, mqtt, stomp, crossing, filter, page, bytes, regex, transport/,
    ],
    ["lib/echo/x.ts", 'const x = await import("../amqp/frame.ts");', /echo may import transport/],
    ["lib/zmtp/x.ts", 'import { connect } from "../transport/transport.ts";', /only the types/],
    ["lib/zmtp/x.ts", 'import { Stream } from "../transport/stream.ts";', /only the types/],
    ["lib/zmtp/x.ts", 'import type { T } from "../transport/tls.ts";', /only the types/],
    ["lib/zmtp/x.ts", 'import net from "node:net";', /a codec does no I\/O/],
    ["lib/amqp/x.ts", "import fs, {\n  type Stats,\n} from 'node:fs';", /x\.ts:1 .*a codec does no I\/O/],
    ["lib/amqp/x.ts", 'import { C } from "./client/client.ts";', /a codec does no I\/O/],
    ["lib/mqtt/x.ts", 'import { C } from "../link/link.ts";', /a codec may import only the types/],
    ["lib/link/x.ts", 'import type { C } from "../amqp/properties.ts";', /link may import bytes, transport/],
    ["lib/errors.ts", 'import { x } from "./zmtp/batch.ts";', /import none of them/],
    ["lib/broker/core/x.ts", 'import { x } from "../server.ts";', /core may import no other part of broker/],
    ["lib/broker/core/q/x.ts", 'import type { X } from "../../amqp/x.ts";', /core may import no other part/],
    ["lib/broker/core/x.ts", 'import type { X } from "../protocol.ts";', /knows nothing around it/],
    [
      "lib/broker/amqp/x.ts",
      'import { x } from "../http/views.ts";',
      /broker\/amqp may import broker\/core$/,
    ],
    ["lib/broker/amqp/x.ts", 'import { x } from "../server.ts";', /broker\/amqp may import broker\/core$/],
    [
      "lib/broker/http/x.ts",
      'import { x } from "../amqp/connection.ts";',
      /broker\/http may import broker\/core, broker\/testing$/,
    ],
    ["lib/broker/amqp/x.ts", 'import { x } from "../../amqp/client/consumer.ts";', /does not use the client/],
    ["lib/broker/strange/x.ts", 'import { x } from "../server.ts";', /lib\/broker\/strange has no rule/],
    ["lib/zmq/x.ts", 'throw new Error("try --curve-key");', /x\.ts:1 names an option .*: --curve-key/],
    ["lib/zmq/x.ts", "\nconst hint = `see ${a} and --help`;", /x\.ts:2 names an option .*: --help/],
    ["lib/strange/x.ts", 'import { x } from "../zmtp/batch.ts";', /has no rule/],
    ["cli/x.ts", 'import { x } from "../tests/support/helpers.ts";', /outside of the program/],
    ["cli/x.ts", 'import { x } from "bun:sqlite";', /not available on both runtimes/],
    ["cli/x.ts", "if (a / b > 1 / c) x = `${Deno.args}`;", /x\.ts:1 names a runtime/],
    ["lib/zmq/x.ts", "/* no */ const now = Bun.nanoseconds();", /x\.ts:1 names a runtime/],
  ];
  for (const [file, source, words] of refused) {
    it(`imports - refuses in ${file}: ${source.trim().replaceAll("\n", " ")}`, () => {
      assert.match(violations(file, source).join("\n"), words);
    });
  }

  const fine: [file: string, source: string][] = [
    [
      "cli/main.ts",
      'import { x } from "../lib/zmq/push.ts"; import { y } from "../mod.ts"; import "commander";',
    ],
    [
      "lib/zmq/push.ts",
      'import { x } from "../zmtp/batch.ts"; import { y } from "../transport/transport.ts";',
    ],
    ["lib/zmtp/x.ts", 'import type { ByteStream } from "../transport/stream.ts"; import "../errors.ts";'],
    ["lib/zmtp/curve.ts", 'import crypto from "node:crypto";'],
    ["lib/broker/server.ts", 'import { x } from "./core/cycle.ts"; import("./http/server.ts");'],
    [
      "lib/broker/amqp/x.ts",
      'import { x } from "../core/cycle.ts"; import type { Y } from "../protocol.ts";',
    ],
    ["lib/zmq/x.ts", '// --option is fine here\nconst pem = "-----BEGIN KEY-----"; const rule = "a -- b";'],
    ["lib/amqp/client/x.ts", 'import { connect } from "../../transport/transport.ts"; import "node:net";'],
    ["lib/mqtt/client/x.ts", 'import { x } from "../../link/link.ts"; import { y } from "../topic.ts";'],
    [
      "lib/transport/x.ts",
      'import net from "node:net"; // Deno.connect is faster\nconst hint = "Bun.listen";',
    ],
    ["lib/zmq/x.ts", "const re = /['\"`]Deno/; const t = `Bun ${x ? `Deno` : {}} Bun`; /* Bun.x */"],
    ["lib/transport/runtime/bun.ts", 'import { x } from "bun:ffi"; Bun.listen();'],
  ];
  for (const [file, source] of fine) {
    it(`imports - accepts in ${file}: ${source.replaceAll("\n", " ")}`, () => {
      assert.deepEqual(violations(file, source), []);
    });
  }
});
