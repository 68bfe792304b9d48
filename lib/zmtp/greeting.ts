/**
 * The greeting of ZMTP (RFC 37, 2 and RFC 15): a signature of 10 bytes, the major version in one byte, and, between peers
 * of version 3, 53 more bytes. Each part is sent in its own step, so that we can continue in the version of an older peer.
 */
import { ProtocolError } from "../errors.ts";
import { preview, text, utf8 } from "./bytes.ts";

/** The length of the signature, in bytes. */
export const SIGNATURE_LENGTH = 10;
/** The number of bytes after the signature and the major version: minor version, mechanism, as-server, filler. */
export const REST_LENGTH = 53;
const MECHANISM_LENGTH = 20;

/** The signature. A ZMTP 1.0 peer reads it as the header of an identity frame. */
export const SIGNATURE: Uint8Array = Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f);
/** The newest supported major version. */
export const MAJOR = 3;
const MINOR = 1;
/** The revision byte of ZMTP 2.0. */
export const REVISION_2 = 1;

/** The part of the greeting that only peers of version 3 send. */
export interface Greeting {
  readonly minor: number;
  readonly mechanism: string;
  readonly asServer: boolean;
}

/** Encodes the 53 bytes after the signature and the major version. */
export function encodeRest(mechanism: string, asServer: boolean): Uint8Array {
  const bytes = new Uint8Array(REST_LENGTH);
  bytes[0] = MINOR;
  bytes.set(utf8(mechanism), 1);
  bytes[1 + MECHANISM_LENGTH] = asServer ? 1 : 0;
  return bytes;
}

const AMQP = utf8("AMQP");

/**
 * Checks the part of the signature that has arrived. The padding in the middle is ignored (RFC 37, 2.1).
 *
 * @param bytes the first bytes of the peer, at most 10
 * @throws {ProtocolError} the peer does not speak ZMTP 2.0 or later
 */
export function checkSignature(bytes: Uint8Array): void {
  // A 1.0 peer begins with an identity frame: 01 00 if the identity is empty, FF and a 64-bit length if it is long.
  const anonymous = bytes.length >= 2 && bytes[0] === 1 && bytes[1] === 0;
  const long = bytes.length >= SIGNATURE_LENGTH && bytes[0] === 0xff && (bytes[9]! & 1) === 0;
  if (anonymous || long) throw tooOld();
  // A TLS record begins with its type, 15 (alert) or 16 (handshake) in hexadecimal, and version 3 (RFC 8446, 5.1).
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && (bytes.length < 2 || bytes[1] === 3)) {
    throw new ProtocolError("The peer speaks TLS, not plain ZeroMQ: use wss:// at both ends");
  }
  // A broker answers a greeting that it does not understand with its protocol header.
  if (AMQP.every((byte, at) => bytes[at] === byte)) {
    throw new ProtocolError(
      "The peer is an AMQP broker, not a ZeroMQ socket: its address is amqp://host:port//name",
    );
  }
  if (bytes.length > 0 && bytes[0] !== 0xff) {
    throw new ProtocolError(`The peer does not speak ZeroMQ (it sent ${preview(bytes)})`);
  }
}

/** The error for a peer of version 1.0. */
export function tooOld(): ProtocolError {
  return new ProtocolError("The peer speaks ZMTP 1.0; the oldest supported version is 2.0");
}

/** Decodes the 53 bytes after the major version. Only NULs at the end of the mechanism's field are removed. */
export function decodeRest(bytes: Uint8Array): Greeting {
  const field = bytes.subarray(1, 1 + MECHANISM_LENGTH);
  return {
    minor: bytes[0]!,
    mechanism: text(field.subarray(0, field.findLastIndex((byte) => byte !== 0) + 1)),
    asServer: bytes[1 + MECHANISM_LENGTH] === 1,
  };
}
