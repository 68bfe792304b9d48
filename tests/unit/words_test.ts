/** Holds the words that no text in this repository may use, over every text file. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** This file, which has to spell the words, and a generated file whose hashes may contain anything. */
const NOT_SCANNED = ["tests/unit/words_test.ts", "deno.lock"];

/** Each forbidden expression, and what to write instead. A line break in a sentence counts as a space. */
const FORBIDDEN: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [/unless[\s*/#|]+told/gi, "write the default: 'Default: 1000'"],
  [/whence/gi, "write 'from where'"],
  [/anew/gi, "write 'again'"],
  // A lookbehind of regular expressions is a term of its own.
  [/(?<!look)behind/gi, "write 'after'; if it means a place, add the file and the phrase to PLACES"],
];

/** Where 'behind' means a place: the file, and the words around it. */
const PLACES: readonly (readonly [file: string, phrase: string])[] = [];

/** All text files that git tracks or would track; without git, all but the generated ones. */
function textFiles(): string[] {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z", "-co", "--exclude-standard"], { cwd: ROOT });
  const names = status === 0
    ? stdout.toString().split("\0").filter((name) => name !== "")
    : fs.readdirSync(ROOT, { recursive: true, encoding: "utf8" })
      .filter((name) => !/^(\.git|dist)\/|(^|\/)node_modules\//.test(name));
  return names.sort().filter((name) => {
    const stats = fs.statSync(path.join(ROOT, name), { throwIfNoEntry: false });
    return stats?.isFile() && !NOT_SCANNED.includes(name);
  });
}

/** Every forbidden expression in a text, as "file:line: the expression: what to write instead". */
function violations(file: string, text: string): string[] {
  return FORBIDDEN.flatMap(([pattern, remedy]) =>
    [...text.matchAll(pattern)].filter(({ index }) => !isPlace(file, text, index)).map(
      ({ 0: words, index }) => {
        const line = text.slice(0, index).split("\n").length;
        return `${file}:${line}: '${words.replaceAll(/\s+/g, " ")}': ${remedy}`;
      },
    )
  );
}

/** Whether the match at `index` lies in a phrase that PLACES allows in this file. */
function isPlace(file: string, text: string, index: number): boolean {
  return PLACES.some(([name, phrase]) => {
    if (name !== file) return false;
    for (let at = text.indexOf(phrase); at >= 0; at = text.indexOf(phrase, at + 1)) {
      if (at <= index && index < at + phrase.length) return true;
    }
    return false;
  });
}

function read(file: string): string | undefined {
  const bytes = fs.readFileSync(path.join(ROOT, file));
  return bytes.includes(0) ? undefined : Buffer.from(bytes).toString();
}

describe("words", () => {
  it("words - no text file uses a forbidden expression", () => {
    const files = textFiles();
    for (const known of ["README.md", "mod.ts", "cli/cheats/pub.md", ".ci/run"]) {
      assert.ok(files.includes(known), `the scan did not find ${known}`);
    }
    const found = files.flatMap((file) => violations(file, read(file) ?? ""));
    assert.ok(found.length === 0, `${found.length} forbidden expressions:\n${found.join("\n")}`);
  });

  it("words - every phrase in PLACES still exists", () => {
    const stale = PLACES.filter(([file, phrase]) => {
      return !fs.existsSync(path.join(ROOT, file)) || !read(file)!.includes(phrase);
    });
    assert.deepEqual(stale, []);
  });

  it("words - a violation names the file, the line and the remedy", () => {
    assert.deepEqual(
      violations("lib/x.ts", "/** Sends it\n * anew, unless\n * told. */\nconst whence = 1;"),
      [
        "lib/x.ts:2: 'unless * told': write the default: 'Default: 1000'",
        "lib/x.ts:4: 'whence': write 'from where'",
        "lib/x.ts:2: 'anew': write 'again'",
      ],
    );
    assert.match(
      violations("README.md", "One\nBehind the handshake").join(),
      /^README\.md:2: 'Behind': write 'after'/,
    );
  });
});
