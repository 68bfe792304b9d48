/** NaCl's boxes, X25519-XSalsa20-Poly1305, from libsodium: the one file that knows it. */
import { LimitError } from "../../errors.ts";

/** Bytes of a public or secret key, of a nonce, and by which a box is longer than its message. */
export const KEY_LENGTH = 32;
export const NONCE_LENGTH = 24;
export const TAG_LENGTH = 16;
/** Room that is kept for the next run of messages, in bytes. */
const KEEP_ROOM = 1024 * 1024;

/** An X25519 key pair, 32 bytes each. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** What CURVE needs of NaCl. A box between two key pairs is a secret box under the key that they share. */
export interface Nacl {
  /** A new pair, or the one of this secret key. */
  keyPair(secretKey?: Uint8Array): KeyPair;
  /** The key that two pairs share; undefined when the public key is none (RFC 7748, 6.1). */
  sharedKey(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined;
  /** The box: tag and ciphertext. */
  seal(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array;
  /** The message in a box; undefined when it was made with another key or nonce, or changed on the way. */
  open(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array | undefined;
  /** Room for many boxes under one key. */
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
    workspace: new Workspace((sodium as unknown as { libsodium: Raw }).libsodium),
  };
}

/** libsodium throws for what an attacker can bring about. */
function orUndefined<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch {
    return undefined;
  }
}

/** The functions of libsodium's WebAssembly module; lengths are 64-bit, in two halves. */
interface Raw {
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
 * libsodium's memory, in which a run of messages is encrypted or decrypted where it lies, without an object for each.
 * Everything in it is valid until the next `prepare`, whoever calls it.
 */
export class Workspace {
  readonly #raw: Raw;
  readonly #key: number;
  readonly #nonce: number;
  /** Where the last 8 bytes of the nonce are, which count. */
  readonly counter: number;
  #size = 0;
  /** Where the room begins. */
  at = 0;

  constructor(raw: Raw) {
    this.#raw = raw;
    this.#key = raw._malloc(KEY_LENGTH + NONCE_LENGTH);
    this.#nonce = this.#key + KEY_LENGTH;
    this.counter = this.#nonce + NONCE_LENGTH - 8;
  }

  /** The memory. It moves when it grows, so ask after `prepare`. */
  get heap(): Uint8Array {
    return this.#raw.HEAPU8;
  }

  /**
   * Makes room for `bytes` bytes, and sets the key and the first 16 bytes of the nonce.
   *
   * @throws {LimitError} there is no memory for it
   */
  prepare(bytes: number, key: Uint8Array, noncePrefix: Uint8Array): void {
    const wanted = Math.max(bytes, KEEP_ROOM);
    // What one large message took is given back.
    if (wanted > this.#size || (this.#size > KEEP_ROOM && wanted === KEEP_ROOM)) {
      if (this.#size > 0) this.#raw._free(this.at);
      this.at = this.#raw._malloc(wanted);
      this.#size = this.at === 0 ? 0 : wanted;
      if (this.at === 0) {
        throw new LimitError(`There is no memory to encrypt or decrypt ${bytes} bytes at once`);
      }
    }
    this.heap.set(key, this.#key);
    this.heap.set(noncePrefix, this.#nonce);
  }

  /** Encrypts the `length` bytes behind the 16 at `at`, where the tag goes. */
  seal(at: number, length: number): void {
    this.#raw._crypto_secretbox_easy(at, at + TAG_LENGTH, length, 0, this.#nonce, this.#key);
  }

  /** Decrypts the box of `length` bytes at `at`, all but its tag in place, and tells whether it was genuine. */
  open(at: number, length: number): boolean {
    return this.#raw._crypto_secretbox_open_easy(at + TAG_LENGTH, at, length, 0, this.#nonce, this.#key) ===
      0;
  }
}
