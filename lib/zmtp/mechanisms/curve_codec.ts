/** Encodes and decodes the commands of CURVE (RFC 26), without cryptography. Integers are big-endian. */
import { ProtocolError } from "../../errors.ts";
import { concat, utf8 } from "../bytes.ts";
import { encodeCommand } from "../frame_encoder.ts";
import { KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH } from "./nacl.ts";

/** The lengths of the counter and of the random part of a nonce, in bytes. */
const COUNTER = 8;
const RANDOM = 16;
/** The length of the cookie, in bytes: a nonce and a box of a public and a secret key. Only the server interprets it. */
export const COOKIE_LENGTH: number = RANDOM + TAG_LENGTH + 2 * KEY_LENGTH;
/** The length of a box of two public keys, in bytes. */
const VOUCH = TAG_LENGTH + 2 * KEY_LENGTH;

/** The length of a HELLO: version 1.0, padding that makes it longer than a WELCOME, C', a nonce, a box of 64 zeros. */
const HELLO = 2 + 72 + KEY_LENGTH + COUNTER + TAG_LENGTH + 64;
const WELCOME = RANDOM + TAG_LENGTH + KEY_LENGTH + COOKIE_LENGTH;
/** The length of an INITIATE without metadata. */
const INITIATE = COOKIE_LENGTH + COUNTER + TAG_LENGTH + KEY_LENGTH + RANDOM + VOUCH;
/** The length of a READY without metadata. */
const READY = COUNTER + TAG_LENGTH;

/** HELLO: the client's transient public key C', and a box that proves that the client knows the server's public key. */
export interface CurveHello {
  readonly clientKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

/** Encodes a HELLO command. */
export function encodeHello({ clientKey, nonce, box }: CurveHello): Uint8Array {
  return encodeCommand("HELLO", concat([Uint8Array.of(1, 0), new Uint8Array(72), clientKey, nonce, box]));
}

/**
 * Decodes the data of a HELLO.
 *
 * @throws {ProtocolError} the length or the version is wrong
 */
export function decodeHello(data: Uint8Array): CurveHello {
  checkLength("HELLO", data, HELLO);
  if (data[0] !== 1 || data[1] !== 0) {
    throw new ProtocolError(`The peer speaks CURVE ${data[0]}.${data[1]}, and this side supports 1.0`);
  }
  const take = taker(data, 2 + 72);
  return { clientKey: take(KEY_LENGTH), nonce: take(COUNTER), box: take(TAG_LENGTH + 64) };
}

/** WELCOME: a box of the server's transient key S' and the cookie. */
export interface CurveWelcome {
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

/** Encodes a WELCOME command. */
export function encodeWelcome({ nonce, box }: CurveWelcome): Uint8Array {
  return encodeCommand("WELCOME", concat([nonce, box]));
}

/**
 * Decodes the data of a WELCOME.
 *
 * @throws {ProtocolError} the length is wrong
 */
export function decodeWelcome(data: Uint8Array): CurveWelcome {
  checkLength("WELCOME", data, WELCOME);
  return { nonce: data.slice(0, RANDOM), box: data.slice(RANDOM) };
}

/** Splits the decrypted box of a WELCOME. */
export function splitWelcome(message: Uint8Array): { serverKey: Uint8Array; cookie: Uint8Array } {
  return { serverKey: message.subarray(0, KEY_LENGTH), cookie: message.subarray(KEY_LENGTH) };
}

/** INITIATE: the cookie from the WELCOME, and a box of the client's introduction. */
export interface CurveInitiate {
  readonly cookie: Uint8Array;
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

/** Encodes an INITIATE command. */
export function encodeInitiate({ cookie, nonce, box }: CurveInitiate): Uint8Array {
  return encodeCommand("INITIATE", concat([cookie, nonce, box]));
}

/**
 * Decodes the data of an INITIATE.
 *
 * @throws {ProtocolError} it is too short
 */
export function decodeInitiate(data: Uint8Array): CurveInitiate {
  if (data.length < INITIATE) throw wrongLength("INITIATE", data);
  const take = taker(data);
  return {
    cookie: take(COOKIE_LENGTH),
    nonce: take(COUNTER),
    box: take(data.length - COOKIE_LENGTH - COUNTER),
  };
}

/** The client's introduction: its long-term key C, the vouch that it also has C', and its metadata. */
export interface ClientIntroduction {
  readonly key: Uint8Array;
  readonly vouchNonce: Uint8Array;
  readonly vouch: Uint8Array;
  readonly metadata: Uint8Array;
}

/** Encodes the content of the box of an INITIATE. */
export function joinIntroduction({ key, vouchNonce, vouch, metadata }: ClientIntroduction): Uint8Array {
  return concat([key, vouchNonce, vouch, metadata]);
}

/** Splits the decrypted box of an INITIATE. */
export function splitIntroduction(message: Uint8Array): ClientIntroduction {
  const take = taker(message);
  return {
    key: take(KEY_LENGTH),
    vouchNonce: take(RANDOM),
    vouch: take(VOUCH),
    metadata: message.slice(KEY_LENGTH + RANDOM + VOUCH),
  };
}

/** READY: a box of the server's metadata. */
export interface CurveReady {
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

/** Encodes a READY command. */
export function encodeReady({ nonce, box }: CurveReady): Uint8Array {
  return encodeCommand("READY", concat([nonce, box]));
}

/**
 * Decodes the data of a READY.
 *
 * @throws {ProtocolError} it is too short
 */
export function decodeReady(data: Uint8Array): CurveReady {
  if (data.length < READY) throw wrongLength("READY", data);
  return { nonce: data.slice(0, COUNTER), box: data.slice(COUNTER) };
}

/** Makes a nonce from a prefix, which names its purpose, and an end, which makes it unique. */
export function nonceOf(prefix: string, end: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(NONCE_LENGTH);
  nonce.set(utf8(prefix));
  nonce.set(end, NONCE_LENGTH - end.length);
  return nonce;
}

/** The end of a nonce with a counter. */
export function counterOf(value: number): Uint8Array {
  const bytes = new Uint8Array(COUNTER);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/** The end of a random nonce. */
export function randomEnd(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(RANDOM));
}

function checkLength(name: string, data: Uint8Array, length: number): void {
  if (data.length !== length) throw wrongLength(name, data);
}

function wrongLength(name: string, { length }: Uint8Array): ProtocolError {
  return new ProtocolError(`The peer sent a malformed ${name} of ${length} bytes (CURVE)`);
}

/** Copies one field after the other: the buffer of a handshake is reused. */
function taker(data: Uint8Array, at = 0): (length: number) => Uint8Array {
  return (length) => data.slice(at, at += length);
}
