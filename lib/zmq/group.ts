import { utf8 } from "../zmtp/bytes.ts";

/** A group has at most so many bytes (libzmq's ZMQ_GROUP_MAX_LENGTH). */
export const MAX_GROUP = 255;

/** @throws {RangeError} the name of a group (RFC 48) is over 255 bytes */
export function groupOf(group: Uint8Array | string): Uint8Array {
  const bytes = typeof group === "string" ? utf8(group) : group.slice();
  if (bytes.length <= MAX_GROUP) return bytes;
  throw new RangeError(`Cannot use a group of ${bytes.length} bytes: it has at most ${MAX_GROUP}`);
}
