/**
 * Arguments that are not UTF-8. Deno and Bun replace each invalid byte by U+FFFD before the program sees it, so that a
 * topic or a path would silently become another one.
 */
import fs from "node:fs";
import process from "node:process";

const REPLACEMENT = "\ufffd";
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
let damaged: readonly string[] | undefined;

/** Whether a value of the command line is, or ends, an argument that is not UTF-8. */
export function isDamaged(value: string): boolean {
  if (!value.includes(REPLACEMENT)) return false;
  damaged ??= damagedWords(process.argv.slice(2));
  return damaged.some((word) => word.endsWith(value));
}

/** The arguments that are not UTF-8. Without /proc these are all that contain U+FFFD. */
function damagedWords(words: readonly string[]): string[] {
  const suspects = words.filter((word) => word.includes(REPLACEMENT));
  const raw = rawWords(words.length);
  if (raw === undefined) return suspects;
  return words.filter((_, at) => {
    try {
      strict.decode(raw[at]);
      return false;
    } catch {
      return true;
    }
  });
}

/** The bytes of the last `count` arguments of this process. */
function rawWords(count: number): Uint8Array[] | undefined {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync("/proc/self/cmdline");
  } catch {
    return undefined;
  }
  const words: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0, at);
    words.push(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length : end + 1;
  }
  return words.length < count ? undefined : words.slice(words.length - count);
}
