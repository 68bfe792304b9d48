/** The commands of CURVE (RFC 26) as bytes: layouts only, no keys. Integers are big-endian. */
import { ProtocolError } from "../../errors.ts";
import { concat, utf8 } from "../bytes.ts";
import { encodeCommand } from "../frame_encoder.ts";
import { KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH } from "./nacl.ts";

/** Bytes of the part of a nonce that counts, and of one that is random. */
const COUNTER = 8;
const RANDOM = 16;
/** A nonce and a box of a public and a secret key: 96 bytes, which only the server looks at. */
export const COOKIE_LENGTH: number = RANDOM + TAG_LENGTH + 2 * KEY_LENGTH;
/** A box of two public keys. */
const VOUCH = TAG_LENGTH + 2 * KEY_LENGTH;

/** HELLO: version 1.0, padding that makes it longer than WELCOME, C', a nonce, a box of 64 zeros. */
const HELLO = 2 + 72 + KEY_LENGTH + COUNTER + TAG_LENGTH + 64;
const WELCOME = RANDOM + TAG_LENGTH + KEY_LENGTH + COOKIE_LENGTH;
/** INITIATE without its metadata. */
const INITIATE = COOKIE_LENGTH + COUNTER + TAG_LENGTH + KEY_LENGTH + RANDOM + VOUCH;
/** READY without its metadata. */
const READY = COUNTER + TAG_LENGTH;

/** The client's transient public key C', and a box that only somebody who knows the server's key can make. */
export interface CurveHello {
  readonly clientKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

export function encodeHello({ clientKey, nonce, box }: CurveHello): Uint8Array {
  return encodeCommand("HELLO", concat([Uint8Array.of(1, 0), new Uint8Array(72), clientKey, nonce, box]));
}

/** @throws {ProtocolError} it has another length or version */
export function decodeHello(data: Uint8Array): CurveHello {
  checkLength("HELLO", data, HELLO);
  if (data[0] !== 1 || data[1] !== 0) {
    throw new ProtocolError(`The peer speaks CURVE ${data[0]}.${data[1]}, and this side speaks 1.0`);
  }
  const take = taker(data, 2 + 72);
  return { clientKey: take(KEY_LENGTH), nonce: take(COUNTER), box: take(TAG_LENGTH + 64) };
}

/** A box of the server's transient key S' and the cookie. */
export interface CurveWelcome {
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

export function encodeWelcome({ nonce, box }: CurveWelcome): Uint8Array {
  return encodeCommand("WELCOME", concat([nonce, box]));
}

/** @throws {ProtocolError} it has another length */
export function decodeWelcome(data: Uint8Array): CurveWelcome {
  checkLength("WELCOME", data, WELCOME);
  return { nonce: data.slice(0, RANDOM), box: data.slice(RANDOM) };
}

/** What is in the box of a WELCOME. */
export function splitWelcome(message: Uint8Array): { serverKey: Uint8Array; cookie: Uint8Array } {
  return { serverKey: message.subarray(0, KEY_LENGTH), cookie: message.subarray(KEY_LENGTH) };
}

/** The cookie as it came, and a box of who the client is. */
export interface CurveInitiate {
  readonly cookie: Uint8Array;
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

export function encodeInitiate({ cookie, nonce, box }: CurveInitiate): Uint8Array {
  return encodeCommand("INITIATE", concat([cookie, nonce, box]));
}

/** @throws {ProtocolError} it is too short */
export function decodeInitiate(data: Uint8Array): CurveInitiate {
  if (data.length < INITIATE) throw wrongLength("INITIATE", data);
  const take = taker(data);
  return {
    cookie: take(COOKIE_LENGTH),
    nonce: take(COUNTER),
    box: take(data.length - COOKIE_LENGTH - COUNTER),
  };
}

/** Who the client is: its long-term key C, the vouch that it has C', and its metadata. */
export interface ClientIntroduction {
  readonly key: Uint8Array;
  readonly vouchNonce: Uint8Array;
  readonly vouch: Uint8Array;
  readonly metadata: Uint8Array;
}

export function joinIntroduction({ key, vouchNonce, vouch, metadata }: ClientIntroduction): Uint8Array {
  return concat([key, vouchNonce, vouch, metadata]);
}

/** What is in the box of an INITIATE. */
export function splitIntroduction(message: Uint8Array): ClientIntroduction {
  const take = taker(message);
  return {
    key: take(KEY_LENGTH),
    vouchNonce: take(RANDOM),
    vouch: take(VOUCH),
    metadata: message.slice(KEY_LENGTH + RANDOM + VOUCH),
  };
}

/** A box of the server's metadata. */
export interface CurveReady {
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

export function encodeReady({ nonce, box }: CurveReady): Uint8Array {
  return encodeCommand("READY", concat([nonce, box]));
}

/** @throws {ProtocolError} it is too short */
export function decodeReady(data: Uint8Array): CurveReady {
  if (data.length < READY) throw wrongLength("READY", data);
  return { nonce: data.slice(0, COUNTER), box: data.slice(COUNTER) };
}

/** A nonce from its beginning, which says what it is for, and its end, which makes it unique. */
export function nonceOf(prefix: string, end: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(NONCE_LENGTH);
  nonce.set(utf8(prefix));
  nonce.set(end, NONCE_LENGTH - end.length);
  return nonce;
}

/** The end of a nonce that counts. */
export function counterOf(value: number): Uint8Array {
  const bytes = new Uint8Array(COUNTER);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/** The end of a nonce that is random. */
export function randomEnd(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(RANDOM));
}

function checkLength(name: string, data: Uint8Array, length: number): void {
  if (data.length !== length) throw wrongLength(name, data);
}

function wrongLength(name: string, { length }: Uint8Array): ProtocolError {
  return new ProtocolError(`The peer sent a malformed ${name} of ${length} bytes (CURVE)`);
}

/** Takes copies from the front: what comes in a handshake is lent. */
function taker(data: Uint8Array, at = 0): (length: number) => Uint8Array {
  return (length) => data.slice(at, at += length);
}
