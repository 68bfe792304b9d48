/** What the describers of all protocols share: their contract, and the form of values in a line. */
import { messageOf } from "../errors.ts";

/** `->` for sent bytes, `<-` for received ones. */
export type Direction = "->" | "<-";

/** Receives the description of one frame. */
export type Say = (direction: Direction, text: string) => void;

/** Describes the bytes of one direction. */
export interface Half {
  /** @throws {Error} the bytes cannot be decoded; the position in the stream is lost, so it must not be called again */
  push(bytes: Uint8Array): void;
}

/** Describes the two directions of a connection. */
export type Describer = Readonly<Record<Direction, Half>>;

/** What stands for a secret. */
export const HIDDEN = "(hidden)";

/** How many bytes of a body are shown. */
const SHOWN = 32;
const SECRET = /pass(word|code|wd)?$|secret|token|credential|authorization/i;

/** Whether a header or a field with this name may hold a secret. */
export function isSecret(name: string): boolean {
  return SECRET.test(name);
}

/** `5 bytes`. */
export function sizeText(size: number): string {
  return `${size} byte${size === 1 ? "" : "s"}`;
}

/** A body: its size, and its first bytes in quotes. @param bytes the first bytes, or all */
export function bodyText(bytes: Uint8Array, size: number): string {
  return size === 0 ? sizeText(0) : `${sizeText(size)} ${quoted(bytes, size)}`;
}

/** The first 32 of `size` bytes in quotes; bytes that are not printable ASCII are escaped. */
export function quoted(bytes: Uint8Array, size: number = bytes.length): string {
  const shown = Array.from(bytes.subarray(0, SHOWN), escaped).join("");
  return `"${shown}"${size > SHOWN ? "…" : ""}`;
}

/** A text from a peer: in quotes only if it has other characters than those of names. */
export function wordText(text: string): string {
  return /^[\w./:*#+,$@%-]+$/.test(text) ? text : JSON.stringify(text);
}

/** The description of a whole frame by `describe`; its name, its size and the mistake if it is malformed. */
export function orMalformed(name: string, size: number, describe: () => string): string {
  try {
    return describe();
  } catch (error) {
    return `${name} ${sizeText(size)} (malformed: ${messageOf(error)})`;
  }
}

/** `name=value` for each value that is neither undefined nor false; only the name for true. */
export function fieldsText(fields: Readonly<Record<string, string | number | boolean | undefined>>): string {
  return Object.entries(fields).map(([name, value]) => {
    if (value === undefined || value === false) return "";
    return value === true ? ` ${name}` : ` ${name}=${value}`;
  }).join("");
}

function escaped(byte: number): string {
  if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  if (byte === 10) return "\\n";
  if (byte === 13) return "\\r";
  if (byte === 9) return "\\t";
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
}
