/** The escapes of header names and values (STOMP 1.2, "Value Encoding"; STOMP 1.1, "Value Encoding"). */
import { ProtocolError } from "../errors.ts";
import type { StompVersion } from "./frame.ts";

const LF = 10;
const CR = 13;
const COLON = 58;
const BACKSLASH = 92;

/** Which escapes the headers of a received frame have. */
export type Escapes =
  /** None: STOMP 1.0, and CONNECT and CONNECTED in all versions. */
  | "none"
  /** Every backslash must begin a known escape. */
  | "strict"
  /** Other backslashes stand for themselves: STOMP frames, which some clients escape and others do not. */
  | "lenient";

/** Returns the escapes of a frame. */
export function escapesOf(command: string, version: StompVersion): Escapes {
  if (command === "STOMP") return "lenient";
  return command === "CONNECT" || command === "CONNECTED" || version === "1.0" ? "none" : "strict";
}

/**
 * Replaces the escapes in a text. `\r` is accepted in 1.1, too, which has no other form for a carriage return at the end
 * of a line.
 *
 * @throws {ProtocolError} an escape is unknown, with the rule `strict`
 */
export function unescape(text: string, escapes: Escapes): string {
  if (escapes === "none") return text;
  let at = text.indexOf("\\");
  if (at < 0) return text;
  let result = "";
  let from = 0;
  for (; at >= 0; at = text.indexOf("\\", from)) {
    const letter = text[at + 1];
    const char = letter === "n"
      ? "\n"
      : letter === "c"
      ? ":"
      : letter === "\\"
      ? "\\"
      : letter === "r"
      ? "\r"
      : undefined;
    if (char !== undefined) {
      result += text.slice(from, at) + char;
      from = at + 2;
    } else if (escapes === "strict") {
      throw new ProtocolError(
        `A header has the unknown escape '\\${letter ?? ""}': write a backslash as '\\\\'`,
      );
    } else {
      result += text.slice(from, at + 1);
      from = at + 1;
    }
  }
  return result + text.slice(from);
}

/**
 * Escapes a header name or value. STOMP 1.0 has no escapes: only characters that would break the frame are replaced,
 * by the escapes of later versions.
 */
export function escape(text: string, version: StompVersion, isName: boolean): string {
  if (!needsEscape(text)) return text;
  let result = "";
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const escaped = code === LF
      ? "\\n"
      : code === CR
      ? "\\r"
      : code === COLON && (isName || version !== "1.0")
      ? "\\c"
      : code === BACKSLASH && version !== "1.0"
      ? "\\\\"
      : code === 0
      ? ""
      : undefined;
    if (escaped === undefined) continue;
    result += text.slice(from, i) + escaped;
    from = i + 1;
  }
  return result + text.slice(from);
}

function needsEscape(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === COLON || code === BACKSLASH || code === LF || code === CR || code === 0) return true;
  }
  return false;
}
