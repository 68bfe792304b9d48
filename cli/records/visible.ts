/** Messages on a terminal: control characters are shown escaped, because a terminal obeys them. */
import { utf8 } from "../../lib/zmtp/bytes.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LATIN1 = 0x80;

/** Returns the bytes with control characters as `\x1b`, except newlines and tabs. Bytes that are not UTF-8 as well. */
export function visible(bytes: Uint8Array): Uint8Array {
  let text: string;
  try {
    text = strict.decode(bytes);
  } catch {
    return utf8(
      Array.from(bytes, (byte) => byte < LATIN1 ? shown(String.fromCharCode(byte)) : hex(byte)).join(""),
    );
  }
  const safe = shown(text);
  return safe === text ? bytes : utf8(safe);
}

/** Returns JSON without the control characters that `JSON.stringify` keeps; it has the same meaning. */
export function visibleJson(json: string): string {
  return json.replaceAll(/[\x7f-\x9f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

function shown(text: string): string {
  return text.replaceAll(/(?![\n\t])\p{Cc}/gu, (char) => hex(char.charCodeAt(0)));
}

function hex(code: number): string {
  return `\\x${code.toString(16).padStart(2, "0")}`;
}
