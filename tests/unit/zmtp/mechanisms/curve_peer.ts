/**
 * A scripted CURVE peer, written from RFC 26 with libsodium's boxes and without code of lib/, so that tests can change
 * each of its bytes.
 */
import { Buffer } from "node:buffer";
import sodium from "libsodium-wrappers";
import { command, frame } from "../../../support/raw_peer.ts";

await sodium.ready;

export interface Pair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

export function newPair(): Pair {
  const { publicKey, privateKey } = sodium.crypto_box_keypair();
  return { publicKey, secretKey: privateKey };
}

export function join(...parts: (Uint8Array | string | number[])[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))));
}

/** 8 bytes, big-endian. */
export function be64(value: bigint | number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return new Uint8Array(bytes);
}

/** Makes a command frame. */
export function named(name: string, ...parts: (Uint8Array | string | number[])[]): Uint8Array {
  return command(join([name.length], name, ...parts));
}

/** Returns the bodies of the frames in `bytes`, which must be complete. */
export function bodies(bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const long = (bytes[at]! & 2) !== 0;
    const length = long ? Number(Buffer.from(bytes).readBigUInt64BE(at + 1)) : bytes[at + 1]!;
    const from = at + (long ? 9 : 2);
    if (from + length > bytes.length) {
      throw new Error(`A frame is truncated: ${bytes.length - from} of ${length} bytes`);
    }
    found.push(bytes.slice(from, at = from + length));
  }
  return found;
}

function metadata(type: string): Uint8Array {
  return join([11], "Socket-Type", [0, 0, 0, type.length], type);
}

/** The part of both roles after the handshake. */
class Messages {
  protected readonly transient: Pair = newPair();
  protected theirs!: Uint8Array;
  #own: string;
  #other: string;

  constructor(own: "C" | "S") {
    this.#own = `CurveZMQMESSAGE${own}`;
    this.#other = `CurveZMQMESSAGE${own === "C" ? "S" : "C"}`;
  }

  protected seal(nonce: Uint8Array, message: Uint8Array): Uint8Array {
    return sodium.crypto_box_easy(message, nonce, this.theirs, this.transient.secretKey);
  }

  protected unseal(nonce: Uint8Array, box: Uint8Array): Uint8Array {
    return sodium.crypto_box_open_easy(box, nonce, this.theirs, this.transient.secretKey);
  }

  /** Makes the body of a MESSAGE command. */
  messageBody(nonce: bigint | number, flags: number, payload: Uint8Array | string): Uint8Array {
    return join([7], "MESSAGE", be64(nonce), this.seal(join(this.#own, be64(nonce)), join([flags], payload)));
  }

  /** Makes a frame that contains one encrypted frame; `outer` are the flags of the outer frame. */
  message(nonce: bigint | number, flags: number, payload: Uint8Array | string, outer = 0): Uint8Array {
    return frame(this.messageBody(nonce, flags, payload), outer);
  }

  /** Decrypts a MESSAGE of the side under test. */
  read(body: Uint8Array): { nonce: bigint; flags: number; payload: Uint8Array } {
    const nonce = body.subarray(8, 16);
    const plain = this.unseal(join(this.#other, nonce), body.subarray(16));
    return { nonce: Buffer.from(nonce).readBigUInt64BE(), flags: plain[0]!, payload: plain.slice(1) };
  }
}

/** A client, for a server under test. */
export class CurveClientPeer extends Messages {
  cookie!: Uint8Array;

  constructor(readonly server: Uint8Array, readonly own: Pair = newPair()) {
    super("C");
  }

  /** Makes the data of a HELLO. */
  helloData(proof = new Uint8Array(64), nonce = 1): Uint8Array {
    const box = sodium.crypto_box_easy(
      proof,
      join("CurveZMQHELLO---", be64(nonce)),
      this.server,
      this.transient.secretKey,
    );
    return join([1, 0], new Uint8Array(72), this.transient.publicKey, be64(nonce), box);
  }

  hello(): Uint8Array {
    return named("HELLO", this.helloData());
  }

  /** Reads the body of a WELCOME. */
  welcome(body: Uint8Array): void {
    const plain = sodium.crypto_box_open_easy(
      body.subarray(24),
      join("WELCOME-", body.subarray(8, 24)),
      this.server,
      this.transient.secretKey,
    );
    this.theirs = plain.slice(0, 32);
    this.cookie = plain.slice(32);
  }

  /** Makes the data of an INITIATE; arguments replace the correct values. */
  initiateData(
    type: string,
    { nonce = 2, key = this.own.publicKey, vouched = this.transient.publicKey, server = this.server } = {},
  ): Uint8Array {
    const random = sodium.randombytes_buf(16);
    const vouch = sodium.crypto_box_easy(
      join(vouched, server),
      join("VOUCH---", random),
      this.theirs,
      this.own.secretKey,
    );
    const box = this.seal(join("CurveZMQINITIATE", be64(nonce)), join(key, random, vouch, metadata(type)));
    return join(this.cookie, be64(nonce), box);
  }

  initiate(type: string): Uint8Array {
    return named("INITIATE", this.initiateData(type));
  }

  /** Decrypts the metadata in the body of a READY. */
  ready(body: Uint8Array): Uint8Array {
    return this.unseal(join("CurveZMQREADY---", body.subarray(6, 14)), body.subarray(14));
  }
}

/** A server, for a client under test. */
export class CurveServerPeer extends Messages {
  /** The client's transient key, and its long-term one. */
  client!: Uint8Array;
  clientKey!: Uint8Array;
  readonly cookie: Uint8Array = sodium.randombytes_buf(96);

  constructor(readonly own: Pair = newPair()) {
    super("S");
  }

  /** Reads and checks the body of a HELLO. */
  hello(body: Uint8Array): void {
    if (body.length !== 200) throw new Error(`HELLO has ${body.length} bytes`);
    this.client = this.theirs = body.slice(80, 112);
    const nonce = join("CurveZMQHELLO---", body.subarray(112, 120));
    const proof = sodium.crypto_box_open_easy(body.subarray(120), nonce, this.client, this.own.secretKey);
    if (proof.some((byte) => byte !== 0)) throw new Error("HELLO's proof is not zero");
  }

  welcome(): Uint8Array {
    const random = sodium.randombytes_buf(16);
    const plain = join(this.transient.publicKey, this.cookie);
    const nonce = join("WELCOME-", random);
    return named(
      "WELCOME",
      random,
      sodium.crypto_box_easy(plain, nonce, this.client, this.own.secretKey),
    );
  }

  /** Reads and checks the body of an INITIATE, and returns its metadata. */
  initiate(body: Uint8Array): Uint8Array {
    const [cookie, nonce, box] = [body.subarray(9, 105), body.subarray(105, 113), body.subarray(113)];
    if (Buffer.compare(cookie, this.cookie) !== 0) throw new Error("the cookie is wrong");
    const plain = this.unseal(join("CurveZMQINITIATE", nonce), box);
    this.clientKey = plain.slice(0, 32);
    const vouched = sodium.crypto_box_open_easy(
      plain.subarray(48, 128),
      join("VOUCH---", plain.subarray(32, 48)),
      this.clientKey,
      this.transient.secretKey,
    );
    if (Buffer.compare(vouched, join(this.client, this.own.publicKey)) !== 0) {
      throw new Error("the vouch is wrong");
    }
    return plain.slice(128);
  }

  ready(type: string, nonce = 1): Uint8Array {
    return named("READY", be64(nonce), this.seal(join("CurveZMQREADY---", be64(nonce)), metadata(type)));
  }
}
