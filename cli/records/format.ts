/** Output templates with kcat's tokens. */
import { utf8 } from "../../lib/zmtp/bytes.ts";

/** The parts of a message that a template can show. */
export interface FormatInput {
  readonly frames: readonly Uint8Array[];
  /** The number of topic frames at the start: 0 or 1. */
  readonly topicFrames: number;
  /** The sequence number, from 1. */
  readonly sequence: number;
  readonly endpoint: string;
  /** The peer's routing id, if it has one. */
  readonly routingId?: string;
}

/** Converts a frame for the output. */
type Show = (frame: Uint8Array) => Uint8Array;

/** Appends one part of a message's output. */
type Step = (input: FormatInput, append: (bytes: Uint8Array) => void) => void;

const ESCAPES: Record<string, number> = { n: 10, t: 9, r: 13, "0": 0, "\\": 92 };

/**
 * Compiles a template: `%s` payload, `%S` its length, `%R` its length as four bytes, big-endian, `%t` topic, `%i` routing
 * id, `%pN` frame N from 1 on, `%o` sequence number, `%T` time in milliseconds since 1970, `%e` endpoint, `%%`; `\n`, `\t`,
 * `\r`, `\0`, `\xNN`, `\\`.
 *
 * @param shown converts the frames of a message; not the text of the template. Default: no change
 * @throws {Error} a token or an escape is unknown
 */
export function compileFormat(template: string, shown: Show = (bytes) => bytes): Step[] {
  const steps: Step[] = [];
  let literal: Uint8Array[] = [];
  const flush = () => {
    for (const bytes of literal.splice(0)) steps.push((_input, append) => append(bytes));
  };
  const pattern = /%(p\d*|[^])|\\(x[0-9a-fA-F]{2}|[^])|[^%\\]+|[%\\]$/g;
  for (const [whole, token, escape] of template.matchAll(pattern)) {
    if (token === "%") literal.push(utf8("%"));
    else if (token !== undefined) {
      flush();
      steps.push(step(token, shown));
    } else if (escape !== undefined) literal.push(Uint8Array.of(unescape(escape)));
    else if (whole === "%" || whole === "\\") {
      throw new Error(`it ends with a single '${whole}': write it twice`);
    } else literal.push(utf8(whole));
  }
  flush();
  literal = [];
  return steps;
}

function step(token: string, shown: Show): Step {
  switch (token) {
    case "s":
      return ({ frames, topicFrames }, append) => {
        for (let i = topicFrames; i < frames.length; i++) append(shown(frames[i]!));
      };
    case "S":
      return (input, append) => append(utf8(String(payloadLength(input))));
    case "R":
      return (input, append) => append(bigEndian(payloadLength(input)));
    case "t":
      return ({ frames, topicFrames }, append) => topicFrames > 0 ? append(shown(frames[0]!)) : undefined;
    case "i":
      return ({ routingId }, append) => append(utf8(routingId ?? ""));
    case "h": // ZeroMQ messages have no headers.
      return () => {};
    case "o":
      return ({ sequence }, append) => append(utf8(String(sequence)));
    case "T":
      return (_input, append) => append(utf8(String(Date.now())));
    case "e":
      return ({ endpoint }, append) => append(utf8(endpoint));
  }
  const part = /^p([1-9]\d*)$/.exec(token);
  if (part === null) {
    throw new Error(`there is no token '%${token}': there are %s %S %R %t %i %h %p1 %p2 … %o %T %e and %%`);
  }
  const index = Number(part[1]) - 1;
  return ({ frames }, append) => index < frames.length ? append(shown(frames[index]!)) : undefined;
}

function unescape(escape: string): number {
  const code = escape.startsWith("x") ? parseInt(escape.slice(1), 16) : ESCAPES[escape];
  if (code === undefined || Number.isNaN(code)) {
    throw new Error(`there is no escape '\\${escape}': there are \\n \\t \\r \\0 \\xNN and \\\\`);
  }
  return code;
}

function payloadLength({ frames, topicFrames }: FormatInput): number {
  let length = 0;
  for (let i = topicFrames; i < frames.length; i++) length += frames[i]!.length;
  return length;
}

/** Four bytes. */
export function bigEndian(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
