/** A byte stream in memory whose peer is the test: it chooses the chunks that arrive, and sees what was sent. */
import assert from "node:assert/strict";
import type { ByteStream, StreamSink } from "../../lib/transport/stream.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { handshake } from "../../lib/zmtp/handshake.ts";
import type { HandshakeOptions } from "../../lib/zmtp/handshake_options.ts";
import { deadline, waitFor } from "./helpers.ts";

/** A byte stream whose peer is scripted by the test. */
export class ScriptedStream implements ByteStream {
  readonly local = "inproc://scripted";
  readonly remote = "inproc://scripted";
  readonly closed: Promise<Error | undefined>;
  taken = 0;
  paused = false;
  /** Whether the side under test has ended its half. */
  ended = false;
  /** Whether the stream is closed. */
  over = false;
  cause: Error | undefined;

  #resolve!: (cause: Error | undefined) => void;
  #sink: StreamSink | undefined;
  #sent: Uint8Array[] = [];
  #held: (Uint8Array | "end")[] = [];
  #writing = false;

  constructor() {
    this.closed = new Promise((resolve) => this.#resolve = resolve);
  }

  /** All bytes that the side under test has sent so far. */
  get sent(): Uint8Array {
    return concat(this.#sent);
  }

  /** Waits until the side under test has sent `count` bytes, and returns all sent bytes. */
  async untilSent(count: number): Promise<Uint8Array> {
    await waitFor(() => this.sent.length >= count, 5000, `${count} bytes to be sent`);
    return this.sent;
  }

  /** The peer sends these bytes in one chunk. */
  feed(bytes: Uint8Array | string): void {
    this.#arrive(typeof bytes === "string" ? utf8(bytes) : bytes);
  }

  /** The peer sends these bytes one by one, with time to process each. */
  async feedEach(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) {
      this.feed(Uint8Array.of(byte));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** The peer ends its half. */
  feedEnd(): void {
    this.#arrive("end");
  }

  #arrive(what: Uint8Array | "end"): void {
    if (this.over) return;
    if (this.paused || this.#sink === undefined) this.#held.push(what);
    else if (what === "end") this.#sink.onEnd();
    else {
      // A chunk is valid during the call only, so it is overwritten afterwards.
      const lent = what.slice();
      this.#sink.onData(lent);
      lent.fill(0xee);
    }
  }

  attach(sink: StreamSink): void {
    this.#sink = sink;
    if (!this.paused) this.resume();
  }

  write(bytes: Uint8Array): void {
    if (bytes.length === 0) throw new Error("an empty write");
    if (this.#writing) throw new Error("two writes at once");
    this.#writing = true;
    this.#sent.push(bytes.slice());
    queueMicrotask(() => {
      this.#writing = false;
      this.taken = bytes.length;
      if (!this.over) this.#sink?.onDrain();
    });
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    while (!this.paused && this.#held.length > 0) this.#arrive(this.#held.shift()!);
  }

  end(): void {
    this.ended = true;
  }

  close(cause?: Error): void {
    if (this.over) return;
    this.over = true;
    this.cause = cause;
    this.#resolve(cause);
  }
}

export const SIGNATURE_BYTES: Uint8Array = Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f);

/** A greeting of version 3, as in RFC 37: 64 bytes. */
export function greeting3(minor = 1, mechanism = "NULL", asServer = 0): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(SIGNATURE_BYTES);
  bytes[10] = 3;
  bytes[11] = minor;
  bytes.set(utf8(mechanism), 12);
  bytes[32] = asServer;
  return bytes;
}

/** Makes a short command frame without the code under test. */
export function command(name: string, ...data: Uint8Array[]): Uint8Array {
  const body = concat([Uint8Array.of(name.length), utf8(name), ...data]);
  return concat([Uint8Array.of(4, body.length), body]);
}

/** Makes one property of a READY command. */
export function property(name: string, value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === "string" ? utf8(value) : value;
  return concat([
    Uint8Array.of(name.length),
    utf8(name),
    Uint8Array.of(0, 0, bytes.length >> 8, bytes.length & 255),
    bytes,
  ]);
}

/** Makes the READY command of a socket type. */
export function ready(socketType: string, ...more: Uint8Array[]): Uint8Array {
  return command("READY", property("Socket-Type", socketType), ...more);
}

/** Makes the bytes of a peer: a valid greeting, then `parts`. */
export function afterGreeting(...parts: Uint8Array[]): Uint8Array {
  return concat([greeting3(), ...parts]);
}

export const PULL: HandshakeOptions = { socketType: "PULL", dialed: false, timeout: 3000 };

/** Runs a handshake with a peer that sends `bytes` in one chunk, expects this failure, and returns the stream. */
export async function failure(
  bytes: Uint8Array | string,
  kind: new (message: string) => Error,
  words: string | RegExp,
  options = PULL,
  end = false,
): Promise<ScriptedStream> {
  const stream = new ScriptedStream();
  const handshaking = handshake(stream, options);
  stream.feed(bytes);
  if (end) stream.feedEnd();
  await assert.rejects(deadline(handshaking, 5000, "the handshake to fail"), (error: unknown) => {
    assert.ok(error instanceof kind, String(error));
    if (typeof words === "string") assert.equal(error.message, words);
    else assert.match(error.message, words);
    return true;
  });
  assert.ok(stream.over || stream.ended, "the stream was left open");
  return stream;
}
