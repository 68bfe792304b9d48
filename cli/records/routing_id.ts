/** Routing ids as text: printable UTF-8 is written as it is, other ids as 0x and hexadecimal digits. */
import { Buffer } from "node:buffer";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Formats an id as `alice` or `0x0080004129`: hexadecimal if it starts with 0x or is not printable. */
export function formatRoutingId(id: Uint8Array): string {
  // Most ids that are not text are automatic ones, which begin with 00: an error for each message is slow.
  if (!hasControl(id)) {
    const text = decode(id);
    if (text !== undefined && /^[^\p{Cc}\p{Z}]+$/u.test(text) && !text.startsWith("0x")) return text;
  }
  return `0x${Buffer.from(id.buffer, id.byteOffset, id.length).toString("hex")}`;
}

function hasControl(id: Uint8Array): boolean {
  for (let i = 0; i < id.length; i++) if (id[i]! < 0x20) return true;
  return false;
}

/** Returns undefined if the bytes are not UTF-8. */
function decode(id: Uint8Array): string | undefined {
  try {
    return utf8.decode(id);
  } catch {
    return undefined;
  }
}

/** @throws {Error} the text is empty, or 0x is not followed by pairs of hexadecimal digits */
export function parseRoutingId(text: string): Uint8Array {
  if (text === "") throw new Error("a routing id must not be empty");
  if (!text.startsWith("0x")) return Buffer.from(text, "utf8");
  if (/^0x([0-9a-fA-F]{2})+$/.test(text)) return Buffer.from(text.slice(2), "hex");
  throw new Error(`expected pairs of hexadecimal digits after 0x, as in 0x0080004129: received '${text}'`);
}
