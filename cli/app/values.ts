/** Parsers for the values of options. Their errors are shown after the option and its text. */
import { messageOf } from "../../lib/errors.ts";
import { BROKER_SYSTEMS, brokerSystemOf } from "../../lib/patterns/address.ts";
import { type Endpoint, parseEndpoint } from "../../lib/transport/endpoint.ts";
import { findTransport, schemesFor } from "../../lib/transport/schemes/table.ts";
import { checkIdentity } from "../../lib/zmq/options.ts";
import { parseRoutingId } from "../records/routing_id.ts";
import { UsageError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** Turns an option's text into its value; throws an Error that says what was expected. */
export type Parse<T> = (text: string) => T;

/** A parser that takes a fixed set of words only. */
export interface Choice {
  readonly words?: readonly string[];
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses `500ms`, `3s`, `1.5m`, `1h`, `7d`; a bare number is in seconds. The value is in milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?$/.exec(text);
  if (match === null) throw new Error("expected a duration such as 500ms, 3s, 1m or a number of seconds");
  return Number(match[1]) * UNITS[match[2] ?? "s"]!;
}

const SIZES: Record<string, number> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Parses `64k`, `128M`, `1G`, `512MiB` as binary units; a bare number is in bytes. */
export function size(text: string): number {
  const match = /^(\d+)(?:([kmg])(?:i?b)?|b)?$/i.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * SIZES[(match[2] ?? "").toLowerCase()]!;
  if (!(bytes > 0 && bytes <= Number.MAX_SAFE_INTEGER)) {
    throw new Error("expected a size such as 64k, 128M or 1G");
  }
  return bytes;
}

/** A whole number from `least` to `most`. */
export function integer(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      const range = most < 2 ** 53 - 1 ? `from ${least} to ${most}` : `of at least ${least}`;
      throw new Error(`expected a whole number ${range}`);
    }
    return value;
  };
}

/** Parses `100/s`, `6000/m`, or a bare number per second. The value is in messages per second. */
export function rate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kM])?(?:\/(s|m|h))?$/.exec(text);
  const factor = match?.[2] === "k" ? 1000 : match?.[2] === "M" ? 1_000_000 : 1;
  const value = match === null ? 0 : Number(match[1]) * factor * 1000 / UNITS[match[3] ?? "s"]!;
  if (!(value > 0)) throw new Error("expected messages per second, such as 100 or 100/s");
  return value;
}

/** One of a few words. */
export function oneOf<T extends string>(...words: readonly T[]): ((text: string) => T) & Choice {
  const parse = (text: string) => {
    if (!(words as readonly string[]).includes(text)) throw new Error(`expected one of ${words.join(", ")}`);
    return text as T;
  };
  return Object.assign(parse, { words });
}

/** Any text. */
export function text(value: string): string {
  return value;
}

/** Text that is not empty. */
export function word(value: string): string {
  if (value === "") throw new Error("it must not be empty");
  return value;
}

/** A routing id that a socket may choose: text, or hexadecimal after 0x. */
export function routingId(value: string): Uint8Array {
  return checkIdentity(parseRoutingId(value));
}

/** @throws {UsageError} which names the endpoint, the mistake and the remedy */
export function endpoint(value: string): Endpoint {
  const system = brokerSystemOf(value);
  if (system !== undefined) {
    // The rest of the address may have a password.
    throw new UsageError(
      `'${system}:…' is the address of a broker: pub, sub, push, pull, req and rep take one, as their only operand`,
    );
  }
  if (Object.hasOwn(BROKER_SYSTEMS, value)) {
    throw new UsageError(
      `'${value}' is not an address (try ${value}:NAME at the broker in use, or ${value}://host/…)`,
    );
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase();
  if (scheme !== undefined && findTransport(scheme) === undefined) {
    const brokers = Object.values(BROKER_SYSTEMS).flatMap(({ schemes }) => schemes);
    const meant = nearest(scheme, [...brokers, ...schemesFor("bytes"), ...schemesFor("frames")]);
    const hint = meant === undefined ? "" : ` (did you mean ${meant}://?)`;
    throw new UsageError(
      `mqcat does not know '${scheme}://…'${hint}; mqcat help addresses lists all addresses`,
    );
  }
  try {
    return parseEndpoint(value);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", "0": "\0", "\\": "\\" };

/** A separator: text that is not empty, with the escapes of `-f`: `\\n`, `\\t`, `\\r`, `\\0`, `\\xNN` and `\\\\`. */
export function separator(value: string): string {
  return word(value).replace(/\\(x[0-7][0-9a-fA-F]|[^])?/g, (whole, escape: string | undefined) => {
    const found = escape?.startsWith("x") && escape.length === 3
      ? String.fromCharCode(parseInt(escape.slice(1), 16))
      : ESCAPES[escape ?? ""];
    if (found === undefined) {
      throw new Error(`there is no escape '${whole}': there are \\n \\t \\r \\0 \\xNN (to 7f) and \\\\`);
    }
    return found;
  });
}
