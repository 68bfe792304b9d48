/** The head of an HTTP/1.1 message (RFC 9112), as far as an upgrade needs it. */
import { LimitError, ProtocolError, UnreachableError } from "../../errors.ts";
import type { ByteStream, StreamSink } from "../stream.ts";
import type { Remains } from "./stream.ts";

/** The largest head, in bytes. */
const MAX_HEAD = 8 * 1024;

/** The first line of a request or a response, and its headers. */
export interface Head {
  /** The first line, without the line end. */
  readonly line: string;
  /** The values by lower-case name; commas join the values of a repeated header. */
  readonly headers: ReadonlyMap<string, string>;
}

/** A head, and the state of the stream after it. */
export interface HeadAndRest extends Remains {
  readonly head: Head;
}

/**
 * Writes our head, if there is one, reads the peer's, and pauses the stream after it. The caller attaches its own sink in
 * the same task.
 *
 * @throws {LimitError} the peer's head is over 8 KiB
 * @throws {ProtocolError} the peer's head is not HTTP/1.1
 * @throws {UnreachableError} the peer closed the connection
 */
export function exchangeHeads(
  stream: ByteStream,
  own: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<HeadAndRest> {
  return new Promise((resolve, reject) => {
    const reader = new HeadReader(stream, own !== undefined, resolve, reject);
    const stop = () => reader.fail(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    stream.closed.then((cause) => {
      signal.removeEventListener("abort", stop);
      reader.fail(cause ?? new UnreachableError("The peer closed the connection"));
    });
    if (signal.aborted) return stop();
    stream.attach(reader);
    if (own !== undefined) stream.write(own);
  });
}

class HeadReader implements StreamSink {
  readonly #stream: ByteStream;
  readonly #resolve: (found: HeadAndRest) => void;
  readonly #reject: (error: unknown) => void;
  readonly #bytes = new Uint8Array(MAX_HEAD);
  #length = 0;
  #ended = false;
  #over = false;
  #writing: boolean;

  constructor(
    stream: ByteStream,
    writing: boolean,
    resolve: (found: HeadAndRest) => void,
    reject: (error: unknown) => void,
  ) {
    this.#stream = stream;
    this.#writing = writing;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: unknown): void {
    this.#over = true;
    this.#reject(error);
  }

  onData(chunk: Uint8Array): void {
    if (this.#over) return;
    const from = Math.max(0, this.#length - 3);
    const room = chunk.subarray(0, MAX_HEAD - this.#length);
    this.#bytes.set(room, this.#length);
    this.#length += room.length;
    const end = endOfHead(this.#bytes, from, this.#length);
    if (end < 0) {
      if (this.#length === MAX_HEAD) {
        this.fail(new LimitError(`The peer's HTTP head is over ${MAX_HEAD} bytes`));
      }
      return;
    }
    this.#over = true;
    this.#stream.pause();
    try {
      const head = parseHead(new TextDecoder("latin1").decode(this.#bytes.subarray(0, end)));
      // The bytes after the head are at the end of this chunk, which is lent.
      const rest = chunk.slice(end - (this.#length - room.length));
      this.#resolve({ head, rest, ended: this.#ended, writing: this.#writing });
    } catch (error) {
      this.#reject(error);
    }
  }

  onEnd(): void {
    this.#ended = true;
    if (!this.#over) this.fail(new UnreachableError("The peer closed the connection during the handshake"));
  }

  onDrain(): void {
    this.#writing = false;
  }
}

/** The position after the empty line, or -1. */
function endOfHead(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at + 3 < to; at++) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) {
      return at + 4;
    }
  }
  return -1;
}

/** @throws {ProtocolError} the text is not a head of HTTP/1.1 */
export function parseHead(text: string): Head {
  const [line, ...rest] = text.split("\r\n");
  const headers = new Map<string, string>();
  for (const header of rest) {
    if (header === "") continue;
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*?)[ \t]*$/.exec(header);
    if (match === null) throw new ProtocolError("The peer sent an HTTP head with a malformed header");
    const name = match[1]!.toLowerCase();
    const before = headers.get(name);
    headers.set(name, before === undefined ? match[2]! : `${before}, ${match[2]}`);
  }
  return { line: line!, headers };
}

/** Splits a header that is a list of elements. */
export function listOf(value: string | undefined): string[] {
  return (value ?? "").split(",").map((element) => element.trim()).filter((element) => element !== "");
}
