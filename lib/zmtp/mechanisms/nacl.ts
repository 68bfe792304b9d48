/** NaCl's boxes (X25519-XSalsa20-Poly1305). Only this file imports libsodium. */
import { LimitError } from "../../errors.ts";
import { byteLength } from "../bytes.ts";

/** The length of a public or secret key, in bytes. */
export const KEY_LENGTH = 32;
/** The length of a nonce, in bytes. */
export const NONCE_LENGTH = 24;
/** The number of bytes by which a box is longer than its message. */
export const TAG_LENGTH = 16;

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
  /**
   * XSalsa20's first step: the key of Salsa20 for all nonces that begin with these 16 bytes. The last 8 bytes of such a
   * nonce are Salsa20's nonce.
   */
  streamKey(key: Uint8Array, noncePrefix: Uint8Array): Uint8Array;
  /** Memory for many boxes with one key. */
  readonly workspace: Workspace;
}

let loading: Promise<Nacl> | undefined;

/** Loads libsodium, once. */
export function loadNacl(): Promise<Nacl> {
  return loading ??= load();
}

async function load(): Promise<Nacl> {
  const { default: create } = await import("libsodium-sumo") as unknown as SodiumModule;
  const raw = await create({ getRandomValue: () => crypto.getRandomValues(new Uint32Array(1))[0]! });
  if (raw._sodium_init() < 0) throw new Error("Cannot use libsodium: it does not start");
  return {
    keyPair(secretKey) {
      if (secretKey !== undefined) {
        return { secretKey, publicKey: call(raw, KEY_LENGTH, [secretKey], raw._crypto_scalarmult_base)! };
      }
      const pair = call(raw, 2 * KEY_LENGTH, [], (at) => raw._crypto_box_keypair(at, at + KEY_LENGTH))!;
      return { publicKey: pair.slice(0, KEY_LENGTH), secretKey: pair.slice(KEY_LENGTH) };
    },
    sharedKey: (publicKey, secretKey) =>
      call(raw, KEY_LENGTH, [publicKey, secretKey], raw._crypto_box_beforenm),
    seal: (message, nonce, key) =>
      call(
        raw,
        TAG_LENGTH + message.length,
        [message, nonce, key],
        (box, at, nonceAt, keyAt) => raw._crypto_secretbox_easy(box, at, message.length, 0, nonceAt, keyAt),
      )!,
    open: (box, nonce, key) =>
      box.length < TAG_LENGTH ? undefined : call(
        raw,
        box.length - TAG_LENGTH,
        [box, nonce, key],
        (message, at, nonceAt, keyAt) =>
          raw._crypto_secretbox_open_easy(message, at, box.length, 0, nonceAt, keyAt),
      ),
    streamKey: (key, noncePrefix) =>
      call(
        raw,
        KEY_LENGTH,
        [noncePrefix, key],
        (to, prefixAt, keyAt) => raw._crypto_core_hsalsa20(to, prefixAt, keyAt, 0),
      )!,
    workspace: new Workspace(raw),
  };
}

/**
 * Calls a function of libsodium with the addresses of its result and of copies of the inputs, and wipes them.
 *
 * @returns a copy of the result; undefined if the function failed
 */
function call(
  raw: RawSodium,
  length: number,
  inputs: readonly Uint8Array[],
  compute: (result: number, ...inputs: number[]) => number,
): Uint8Array | undefined {
  const total = length + byteLength(inputs);
  const result = allocate(raw, total);
  try {
    let end = result + length;
    const addresses = inputs.map((input) => {
      raw.HEAPU8.set(input, end);
      return (end += input.length) - input.length;
    });
    return compute(result, ...addresses) === 0 ? raw.HEAPU8.slice(result, result + length) : undefined;
  } finally {
    raw.HEAPU8.fill(0, result, result + total);
    raw._free(result);
  }
}

/** @throws {LimitError} there is not enough memory */
function allocate(raw: RawSodium, bytes: number): number {
  const at = raw._malloc(bytes);
  if (at === 0) throw new LimitError(`Cannot encrypt or decrypt ${bytes} bytes at once: not enough memory`);
  return at;
}

/** The module of libsodium: a function that makes an instance. */
interface SodiumModule {
  default(options: { getRandomValue(): number }): Promise<RawSodium>;
}

/** The functions of libsodium's WebAssembly module, on addresses in its memory. Lengths have 64 bits, in two halves. */
interface RawSodium {
  readonly HEAPU8: Uint8Array<ArrayBuffer>;
  _sodium_init(): number;
  _malloc(bytes: number): number;
  _free(at: number): void;
  _crypto_box_keypair(publicKey: number, secretKey: number): number;
  _crypto_box_beforenm(key: number, publicKey: number, secretKey: number): number;
  _crypto_scalarmult_base(publicKey: number, secretKey: number): number;
  _crypto_core_hsalsa20(key: number, prefix: number, from: number, constant: number): number;
  _crypto_secretbox_easy: BoxFunction;
  _crypto_secretbox_open_easy: BoxFunction;
  /** Writes the stream of a nonce of 8 bytes. */
  _crypto_stream_salsa20(to: number, low: number, high: number, nonce: number, key: number): number;
  /** Encrypts with the stream from one of its blocks of 64 bytes on. */
  _crypto_stream_salsa20_xor_ic(
    to: number,
    from: number,
    low: number,
    high: number,
    nonce: number,
    blockLow: number,
    blockHigh: number,
    key: number,
  ): number;
  _crypto_onetimeauth_poly1305(tag: number, from: number, low: number, high: number, key: number): number;
  /** Compares in constant time. */
  _crypto_onetimeauth_poly1305_verify(
    tag: number,
    from: number,
    low: number,
    high: number,
    key: number,
  ): number;
}

type BoxFunction = (
  to: number,
  from: number,
  low: number,
  high: number,
  nonce: number,
  key: number,
) => number;

/** The memory that is kept for the next batch of messages, in bytes. */
const KEEP_ROOM = 1024 * 1024;
/** The part of Salsa20's stream that is computed before it is used, in bytes: a multiple of its block of 64 bytes. */
const STREAM = 64 * 1024;
/** The length of the key of Poly1305, the first bytes of the stream. */
const ONE_TIME_KEY = 32;

/**
 * A part of libsodium's memory, in which many messages are encrypted or decrypted in place, without an object per
 * message. All connections share it: its content is valid until the next `prepare`.
 *
 * A box is what NaCl defines, and libsodium computes it: the stream of XSalsa20, and the tag with Poly1305. The steps are
 * called one by one for three reasons. XSalsa20's first step is the same for all messages of a direction, so it is done
 * once (`streamKey`). The stream is computed once per message, where libsodium's own box computes its first block twice
 * to decrypt. And libsodium XORs byte by byte in WebAssembly; here it is by 32-bit words.
 */
export class Workspace {
  readonly #raw: RawSodium;
  readonly #key: number;
  /** The address of the stream of the current message. */
  readonly #stream: number;
  #size = 0;
  /** The address of the reserved memory. */
  at = 0;
  /** All of libsodium's memory. The array changes when the memory grows: get it again after `prepare`. */
  heap: Uint8Array<ArrayBuffer>;
  #words: Uint32Array;

  constructor(raw: RawSodium) {
    this.#raw = raw;
    this.#key = allocate(raw, KEY_LENGTH);
    this.#stream = allocate(raw, STREAM + 4);
    this.heap = raw.HEAPU8;
    this.#words = new Uint32Array(this.heap.buffer);
  }

  /**
   * Reserves `bytes` bytes, and sets the key.
   *
   * @param streamKey the result of `Nacl.streamKey`
   * @throws {LimitError} there is not enough memory
   */
  prepare(bytes: number, streamKey: Uint8Array): void {
    const wanted = Math.max(bytes, KEEP_ROOM);
    // Release the memory that one large message needed.
    if (wanted > this.#size || (this.#size > KEEP_ROOM && wanted === KEEP_ROOM)) {
      if (this.#size > 0) this.#raw._free(this.at);
      this.#size = 0;
      this.at = allocate(this.#raw, wanted);
      this.#size = wanted;
    }
    if (this.heap !== this.#raw.HEAPU8) {
      this.heap = this.#raw.HEAPU8;
      this.#words = new Uint32Array(this.heap.buffer);
    }
    this.heap.set(streamKey, this.#key);
  }

  /**
   * Encrypts the `length` bytes at `at + 16`, and writes the tag to the 16 bytes at `at`.
   *
   * @param nonce the address of the last 8 bytes of the nonce
   */
  seal(at: number, length: number, nonce: number): void {
    const message = at + TAG_LENGTH;
    const key = this.#startStream(message, length, nonce);
    this.#xor(message, length, nonce, key);
    this.#raw._crypto_onetimeauth_poly1305(at, message, length, 0, key);
  }

  /**
   * Decrypts in place the `length` bytes at `at + 16`, if the tag at `at` is theirs.
   *
   * @param nonce the address of the last 8 bytes of the nonce
   * @returns whether the message is authentic; if not, it is not decrypted
   */
  open(at: number, length: number, nonce: number): boolean {
    const message = at + TAG_LENGTH;
    const key = this.#startStream(message, length, nonce);
    if (this.#raw._crypto_onetimeauth_poly1305_verify(at, message, length, 0, key) !== 0) return false;
    this.#xor(message, length, nonce, key);
    return true;
  }

  /**
   * Computes the beginning of the stream for a message.
   *
   * @returns its address, which is that of the key of Poly1305. It is as far from a multiple of 4 as the message is
   */
  #startStream(message: number, length: number, nonce: number): number {
    const stream = this.#stream + (message & 3);
    this.#raw._crypto_stream_salsa20(stream, Math.min(ONE_TIME_KEY + length, STREAM), 0, nonce, this.#key);
    return stream;
  }

  /** XORs a message and the stream after the key of Poly1305. */
  #xor(message: number, length: number, nonce: number, stream: number): void {
    const near = Math.min(length, STREAM - ONE_TIME_KEY);
    this.#xorWords(message, message + near, stream + ONE_TIME_KEY - message);
    if (near === length) return;
    const rest = message + near;
    this.#raw._crypto_stream_salsa20_xor_ic(rest, rest, length - near, 0, nonce, STREAM / 64, 0, this.#key);
  }

  /** XORs each byte at `[at, end)` and the byte that lies `distance` bytes after it, a multiple of 4. */
  #xorWords(at: number, end: number, distance: number): void {
    const { heap } = this;
    const words = this.#words;
    for (; at < end && (at & 3) !== 0; at++) heap[at]! ^= heap[at + distance]!;
    const last = end >>> 2;
    const shift = distance / 4;
    for (let word = at >>> 2; word < last; word++) words[word]! ^= words[word + shift]!;
    for (at = Math.max(at, last * 4); at < end; at++) heap[at]! ^= heap[at + distance]!;
  }
}
