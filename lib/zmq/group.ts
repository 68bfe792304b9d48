import { utf8 } from "../zmtp/bytes.ts";

/** The longest name of a group, in bytes (ZMQ_GROUP_MAX_LENGTH). */
export const MAX_GROUP = 255;

/**
 * The bytes of the name of a group (RFC 48).
 *
 * @throws {RangeError} the name is longer than 255 bytes
 */
export function groupOf(group: Uint8Array | string): Uint8Array {
  const bytes = typeof group === "string" ? utf8(group) : group.slice();
  if (bytes.length <= MAX_GROUP) return bytes;
  throw new RangeError(`Cannot use a group of ${bytes.length} bytes: expected at most ${MAX_GROUP}`);
}
