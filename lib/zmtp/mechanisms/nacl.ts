/** NaCl's boxes (X25519-XSalsa20-Poly1305). Only this file imports libsodium. */
import { LimitError } from "../../errors.ts";

/** The length of a public or secret key, in bytes. */
export const KEY_LENGTH = 32;
/** The length of a nonce, in bytes. */
export const NONCE_LENGTH = 24;
/** The number of bytes by which a box is longer than its message. */
export const TAG_LENGTH = 16;
/** The memory that is kept for the next batch of messages, in bytes. */
const KEEP_ROOM = 1024 * 1024;

/** An X25519 key pair. */
export interface KeyPair {
  /** The public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The secret key, 32 bytes. */
  readonly secretKey: Uint8Array;
}

/** The part of NaCl that CURVE uses. A box between two key pairs is a secret box with their shared key. */
export interface Nacl {
  /** Makes a new key pair, or the key pair of a secret key. */
  keyPair(secretKey?: Uint8Array): KeyPair;
  /** The shared key of two pairs; undefined if the public key is invalid (RFC 7748, 6.1). */
  sharedKey(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined;
  /** Encrypts a message. The box is the tag and the ciphertext. */
  seal(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array;
  /** Decrypts a box; undefined if it was made with another key or nonce, or was modified. */
  open(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array | undefined;
  /** Memory for many boxes with one key. */
  readonly workspace: Workspace;
}

let loading: Promise<Nacl> | undefined;

/** Loads libsodium, once. */
export function loadNacl(): Promise<Nacl> {
  return loading ??= load();
}

async function load(): Promise<Nacl> {
  const { default: sodium } = await import("libsodium-wrappers");
  await sodium.ready;
  return {
    keyPair(secretKey) {
      if (secretKey !== undefined) return { secretKey, publicKey: sodium.crypto_scalarmult_base(secretKey) };
      const { publicKey, privateKey } = sodium.crypto_box_keypair();
      return { publicKey, secretKey: privateKey };
    },
    sharedKey: (publicKey, secretKey) => orUndefined(() => sodium.crypto_box_beforenm(publicKey, secretKey)),
    seal: (message, nonce, key) => sodium.crypto_secretbox_easy(message, nonce, key),
    open: (box, nonce, key) => orUndefined(() => sodium.crypto_secretbox_open_easy(box, nonce, key)),
    workspace: new Workspace((sodium as unknown as { libsodium: RawSodium }).libsodium),
  };
}

/** Returns undefined if `compute` throws: libsodium throws on input that an attacker can produce. */
function orUndefined<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch {
    return undefined;
  }
}

/** The functions of libsodium's WebAssembly module. Lengths have 64 bits, in two halves. */
interface RawSodium {
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(at: number): void;
  _crypto_secretbox_easy(
    box: number,
    message: number,
    low: number,
    high: number,
    nonce: number,
    key: number,
  ): number;
  _crypto_secretbox_open_easy(
    message: number,
    box: number,
    low: number,
    high: number,
    nonce: number,
    key: number,
  ): number;
}

/**
 * A part of libsodium's memory, in which many messages are encrypted or decrypted in place, without an object per
 * message. All connections share it: its content is valid until the next `prepare`.
 */
export class Workspace {
  readonly #raw: RawSodium;
  readonly #key: number;
  readonly #nonce: number;
  /** The address of the last 8 bytes of the nonce, which are the counter. */
  readonly counter: number;
  #size = 0;
  /** The address of the reserved memory. */
  at = 0;

  constructor(raw: RawSodium) {
    this.#raw = raw;
    this.#key = raw._malloc(KEY_LENGTH + NONCE_LENGTH);
    this.#nonce = this.#key + KEY_LENGTH;
    this.counter = this.#nonce + NONCE_LENGTH - 8;
  }

  /** All of libsodium's memory. The array changes when the memory grows: get it again after `prepare`. */
  get heap(): Uint8Array {
    return this.#raw.HEAPU8;
  }

  /**
   * Reserves `bytes` bytes, and sets the key and the first 16 bytes of the nonce.
   *
   * @throws {LimitError} there is not enough memory
   */
  prepare(bytes: number, key: Uint8Array, noncePrefix: Uint8Array): void {
    const wanted = Math.max(bytes, KEEP_ROOM);
    // Release the memory that one large message needed.
    if (wanted > this.#size || (this.#size > KEEP_ROOM && wanted === KEEP_ROOM)) {
      if (this.#size > 0) this.#raw._free(this.at);
      this.at = this.#raw._malloc(wanted);
      this.#size = this.at === 0 ? 0 : wanted;
      if (this.at === 0) {
        throw new LimitError(`Cannot encrypt or decrypt ${bytes} bytes at once: not enough memory`);
      }
    }
    this.heap.set(key, this.#key);
    this.heap.set(noncePrefix, this.#nonce);
  }

  /** Encrypts the `length` bytes at `at + 16`, and writes the tag to the 16 bytes at `at`. */
  seal(at: number, length: number): void {
    this.#raw._crypto_secretbox_easy(at, at + TAG_LENGTH, length, 0, this.#nonce, this.#key);
  }

  /** Decrypts the box of `length` bytes at `at`; the message replaces the ciphertext. Returns whether it is authentic. */
  open(at: number, length: number): boolean {
    return this.#raw._crypto_secretbox_open_easy(at + TAG_LENGTH, at, length, 0, this.#nonce, this.#key) ===
      0;
  }
}
