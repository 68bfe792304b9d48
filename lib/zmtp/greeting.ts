/**
 * The greeting of ZMTP (RFC 37, 2 and RFC 15): 10 bytes of signature, one of version, and, between peers of version
 * 3, 53 more. It is sent in these three steps, so that an older peer can be answered in its own version.
 */
import { ProtocolError } from "../errors.ts";
import { preview, text, utf8 } from "./bytes.ts";

/** Bytes in the signature, FF 00×7 01 7F: as a ZMTP 1.0 frame it is an identity of zero bytes. */
export const SIGNATURE_LENGTH = 10;
/** Bytes after the signature and the major version: minor, mechanism, as-server, filler. */
export const REST_LENGTH = 53;
const MECHANISM_LENGTH = 20;

export const SIGNATURE: Uint8Array = Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f);
/** The newest major version that we speak. */
export const MAJOR = 3;
const MINOR = 1;
/** The revision byte of ZMTP 2.0. */
export const REVISION_2 = 1;

/** What a peer of version 3 says of itself. */
export interface Greeting {
  readonly minor: number;
  readonly mechanism: string;
  readonly asServer: boolean;
}

/** The 53 bytes after the signature and the major version. */
export function encodeRest(mechanism: string, asServer: boolean): Uint8Array {
  const bytes = new Uint8Array(REST_LENGTH);
  bytes[0] = MINOR;
  bytes.set(utf8(mechanism), 1);
  bytes[1 + MECHANISM_LENGTH] = asServer ? 1 : 0;
  return bytes;
}

/**
 * Checks the signature as far as it has come. The padding in the middle is ignored (RFC 37, 2.1).
 *
 * @param bytes the first bytes of the peer, at most 10 of them
 * @throws {ProtocolError} the peer does not speak ZMTP 2.0 or later
 */
export function checkSignature(bytes: Uint8Array): void {
  // A 1.0 peer begins with its identity as a frame: 01 00 when that is empty, FF and a 64-bit length when it is long.
  const anonymous = bytes.length >= 2 && bytes[0] === 1 && bytes[1] === 0;
  const long = bytes.length >= SIGNATURE_LENGTH && bytes[0] === 0xff && (bytes[9]! & 1) === 0;
  if (anonymous || long) throw tooOld();
  if (bytes.length > 0 && bytes[0] !== 0xff) {
    throw new ProtocolError(`The peer does not speak ZeroMQ (it sent ${preview(bytes)})`);
  }
}

/** The refusal of a peer of version 1.0. */
export function tooOld(): ProtocolError {
  return new ProtocolError("The peer speaks ZMTP 1.0, and 2.0 is the oldest version spoken here");
}

/** Decodes the 53 bytes after the major version; the mechanism keeps all of its field but the NULs at the end. */
export function decodeRest(bytes: Uint8Array): Greeting {
  const field = bytes.subarray(1, 1 + MECHANISM_LENGTH);
  return {
    minor: bytes[0]!,
    mechanism: text(field.subarray(0, field.findLastIndex((byte) => byte !== 0) + 1)),
    asServer: bytes[1 + MECHANISM_LENGTH] === 1,
  };
}
