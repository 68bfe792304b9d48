/** Checks the import rules of the architecture in every file. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { importsOf, linesWith } from "./source_scan.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What a folder of lib/ may import besides itself and the files directly in lib/. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  transport: [],
  zmtp: ["transport"],
  zmq: ["zmtp", "transport"],
  amqp: ["transport"],
  broker: ["amqp", "transport"],
  echo: ["transport"],
  probe: ["zmtp", "amqp", "transport"],
};

/** Built-in modules that do no I/O. */
const PURE_BUILTINS = ["node:crypto", "node:buffer", "node:assert/strict"];
/** npm packages that do no I/O. */
const PURE_PACKAGES = ["libsodium-wrappers"];

const RUNTIME_FOLDER = "lib/transport/runtime/";

function sources(folder: string): string[] {
  return fs.readdirSync(path.join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** The layer of a file: `lib/zmtp/batch.ts` -> `zmtp`. Files directly in lib/ have no layer. */
function layerOf(file: string): string | undefined {
  return /^lib\/([^/]+)\//.exec(file)?.[1];
}

/** Whether a file is a codec, which does no I/O. In these layers only `amqp/client` may open a stream. */
function isCodec(file: string): boolean {
  return /^lib\/(zmtp|amqp)\//.test(file) && !file.startsWith("lib/amqp/client/");
}

/** All violations in a file, as "file:line: the violation". */
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
  return found;
}

function judge(file: string, specifier: string, typeOnly: boolean): string | undefined {
  const inLib = file.startsWith("lib/");
  if (!specifier.startsWith(".")) {
    if (/^(bun|deno|ext|jsr|https?):/.test(specifier) && !file.startsWith(RUNTIME_FOLDER)) {
      return "not a module both have";
    }
    if (isCodec(file) && ![...PURE_BUILTINS, ...PURE_PACKAGES].includes(specifier)) {
      return "a codec does no I/O";
    }
    return undefined;
  }
  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (target.startsWith("cli/") && !file.startsWith("cli/")) return "nobody imports from cli";
  if (!inLib) {
    return /^(lib\/|cli\/|mod\.ts$|deno\.json$|package\.json$)/.test(target)
      ? undefined
      : "outside of the program";
  }
  if (!target.startsWith("lib/")) return "lib stands alone";
  const from = layerOf(file);
  const to = layerOf(target);
  if (to === undefined || from === to) {
    return isCodec(file) && target.startsWith("lib/amqp/client/") ? "a codec does no I/O" : undefined;
  }
  if (from === undefined) return "the files in lib/ are shared by all its folders and import none of them";
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `lib/${from} has no rule in tests/unit/imports_test.ts`;
  if (!allowed.includes(to)) return `${from} may import ${allowed.join(", ") || "no other folder"}`;
  if (isCodec(file) && !(typeOnly && target === "lib/transport/stream.ts")) {
    return "a codec may import only the types of lib/transport/stream.ts";
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

  it("imports - libsodium is loaded by one file, and only on demand", () => {
    const importers = sources("lib").filter((file) => {
      return importsOf(fs.readFileSync(path.join(ROOT, file), "utf8")).some((found) =>
        found.specifier === "libsodium-wrappers"
      );
    });
    assert.deepEqual(importers, ["lib/zmtp/mechanisms/nacl.ts"]);
    assert.match(
      fs.readFileSync(path.join(ROOT, importers[0]!), "utf8"),
      /await import\("libsodium-wrappers"\)/,
    );
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
      /push\.ts:1 .*nobody imports from cli/,
    ],
    ["mod.ts", 'export { x } from "./cli/main.ts";', /nobody imports from cli/],
    ["lib/transport/x.ts", '\n\nimport { x } from "../zmtp/batch.ts";', /x\.ts:3 .*no other folder/],
    ["lib/zmtp/x.ts", 'export * from "../zmq/push.ts";', /zmtp may import transport/],
    ["lib/broker/x.ts", 'import "../zmtp/batch.ts";', /broker may import amqp, transport/],
    ["lib/echo/x.ts", 'const x = await import("../amqp/frame.ts");', /echo may import transport/],
    ["lib/zmtp/x.ts", 'import { connect } from "../transport/transport.ts";', /only the types/],
    ["lib/zmtp/x.ts", 'import { Stream } from "../transport/stream.ts";', /only the types/],
    ["lib/zmtp/x.ts", 'import type { T } from "../transport/tls.ts";', /only the types/],
    ["lib/zmtp/x.ts", 'import net from "node:net";', /a codec does no I\/O/],
    ["lib/amqp/x.ts", "import fs, {\n  type Stats,\n} from 'node:fs';", /x\.ts:1 .*a codec does no I\/O/],
    ["lib/amqp/x.ts", 'import { C } from "./client/client.ts";', /a codec does no I\/O/],
    ["lib/errors.ts", 'import { x } from "./zmtp/batch.ts";', /import none of them/],
    ["lib/strange/x.ts", 'import { x } from "../zmtp/batch.ts";', /has no rule/],
    ["cli/x.ts", 'import { x } from "../tests/support/helpers.ts";', /outside of the program/],
    ["cli/x.ts", 'import { x } from "bun:sqlite";', /not a module both have/],
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
    ["lib/amqp/client/x.ts", 'import { connect } from "../../transport/transport.ts"; import "node:net";'],
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
