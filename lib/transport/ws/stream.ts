import { LimitError, messageOf, ProtocolError } from "../../errors.ts";
import type { ByteStream, FrameStream, StreamSink } from "../stream.ts";
import { BytesEncoder } from "./bytes_encoder.ts";
import { ZwsDecoder } from "./decoder.ts";
import { ZwsEncoder } from "./encoder.ts";
import { CLOSE, closeFrame, controlFrame, NORMAL, PING, PONG, PROTOCOL_ERROR, TOO_BIG } from "./frame.ts";

/** The smallest and the largest buffer for encoded frames, in bytes. One piece is one write. */
const MIN_PIECE = 4 * 1024;
const MAX_PIECE = 256 * 1024;
const NOTHING = new Uint8Array(0);

/** The state of a stream after the opening handshake. */
export interface Remains {
  /** The bytes that arrived after the handshake. */
  readonly rest: Uint8Array;
  /** Whether the peer ended its half after them. */
  readonly ended: boolean;
  /** Whether a write is in progress. */
  readonly writing: boolean;
}

/**
 * ZeroMQ's frames over a WebSocket (RFC 45), as the stream of bytes that they are over TCP. The owner reads and writes
 * frames of flags, length and body, as in ZMTP; the WebSocket carries each of them as a binary message of a flag byte and
 * the body. So ZMTP runs on it without changes, except for the greeting: `subprotocol` replaces it. A WebSocket has no
 * halves: after the peer's end nothing can be written.
 *
 * If it carries a stream of bytes, each write is one binary message, and the payloads of received messages follow each
 * other. `taken` counts whole frames.
 */
export class WsStream implements FrameStream, StreamSink {
  readonly local: string;
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;
  readonly subprotocol: string;

  readonly #below: ByteStream;
  readonly #masks: boolean;
  readonly #encoder: ZwsEncoder | BytesEncoder;
  readonly #decoder: ZwsDecoder;
  #sink: StreamSink | undefined;
  /** Whether it was closed by `close`; the end of a stream that closed by itself may still have to be reported. */
  #over = false;
  #paused = false;

  /** The owner's current write, and the encoded piece of it that the lower stream is writing. */
  #source: Uint8Array | undefined;
  #piece: Uint8Array = NOTHING;
  /** Whether the lower stream is writing: a piece, a control frame or, at first, the answer to the upgrade. */
  #writing: boolean;
  /** Whether that write is a piece. */
  #pieceOut = false;
  /** How many bytes of the source are in pieces that were taken, and in all encoded pieces. */
  #taken = 0;
  #encoded = 0;
  /** The last result of `consumedWithin` for the current piece, and the count of taken bytes that it is for. */
  readonly #within = { taken: 0, consumed: 0 };
  #pong: Uint8Array | undefined;
  #pingWanted = false;
  #ending = false;
  #closeSent = false;

  /** Bytes that arrived before a sink was attached. */
  #held: Uint8Array | undefined;
  #endHeld: boolean;
  #closeReceived = false;
  #endReported = false;

  /**
   * @param below the stream under the WebSocket, paused after the handshake
   * @param client whether we are the client, which masks its frames
   * @param options the limit for a message in fragments, in bytes, and whether messages carry a stream of bytes
   */
  constructor(
    below: ByteStream,
    subprotocol: string,
    client: boolean,
    { maxMessage, bytes }: { readonly maxMessage: number; readonly bytes: boolean },
    { rest, ended, writing }: Remains,
  ) {
    this.#below = below;
    this.#masks = client;
    this.subprotocol = subprotocol;
    this.local = webName(below.local);
    this.remote = webName(below.remote);
    // A peer that closes with our Close unread resets the connection; that is a normal end.
    this.closed = below.closed.then((cause) => this.#closeSent && !this.#writing ? undefined : cause);
    this.#encoder = bytes ? new BytesEncoder(client) : new ZwsEncoder(client);
    this.#decoder = new ZwsDecoder(
      !client,
      maxMessage,
      (opcode, payload) => this.#onControl(opcode, payload),
      bytes,
    );
    this.#held = rest.length > 0 ? rest : undefined;
    this.#endHeld = ended;
    this.#writing = writing;
    below.attach(this);
  }

  get taken(): number {
    if (!this.#pieceOut) return this.#taken;
    const within = this.#within;
    const { taken } = this.#below;
    if (within.taken !== taken) {
      within.taken = taken;
      within.consumed = this.#encoder.consumedWithin(this.#source!, this.#taken, taken);
    }
    return this.#taken + within.consumed;
  }

  get peerEnded(): boolean {
    return this.#endHeld && this.#held === undefined || (this.#below.peerEnded ?? false);
  }

  attach(sink: StreamSink): void {
    const first = this.#sink === undefined;
    this.#sink = sink;
    if (first) queueMicrotask(() => this.#goOn());
  }

  pause(): void {
    this.#paused = true;
    this.#below.pause();
  }

  resume(): void {
    this.#paused = false;
    queueMicrotask(() => this.#goOn());
  }

  write(bytes: Uint8Array): void {
    this.#taken = this.#encoded = 0;
    this.#source = bytes;
    if (!this.#writing) this.#writeNext();
  }

  end(): void {
    this.#ending = true;
    if (!this.#writing) this.#writeNext();
  }

  close(cause?: Error): void {
    this.#over = true;
    this.#below.close(cause);
  }

  /** Sends a Ping; the Pong arrives as an `onData` without bytes (RFC 6455, 5.5.2). */
  ping(): void {
    this.#pingWanted = true;
    if (!this.#writing) this.#writeNext();
  }

  onData(chunk: Uint8Array): void {
    if (this.#over || this.#closeReceived) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      return this.#fail(error as Error);
    }
    if (this.#decoder.length > 0) {
      this.#sink!.onData(this.#decoder.output.subarray(0, this.#decoder.length));
    }
    if (!this.#closeReceived) return;
    // The Close must be answered (RFC 6455, 5.5.1) before the owner learns of the end and may close the stream.
    if (this.#closeSent || this.#writing) this.onEnd();
    else this.end();
  }

  onEnd(): void {
    if (this.#over) return;
    if (this.#paused) this.#endHeld = true;
    else this.#reportEnd();
  }

  onDrain(): void {
    this.#writing = false;
    if (this.#closeSent) {
      this.#below.end();
      if (this.#closeReceived) this.onEnd();
      return;
    }
    this.#pieceOut = false;
    this.#taken = this.#encoded;
    const done = this.#source !== undefined && this.#encoded === this.#source.length;
    if (done) this.#source = undefined;
    // The owner's writes may follow each other without a pause; control frames must not wait for that.
    if (this.#pong !== undefined || this.#pingWanted) this.#writeNext();
    if (done) this.#sink?.onDrain();
    if (!this.#writing) this.#writeNext();
  }

  /** Writes the next frame: an answer to a Ping, a Ping, a piece of the owner's write, or the Close. */
  #writeNext(): void {
    if (this.#over || this.#closeSent) return;
    let bytes: Uint8Array | undefined;
    if (this.#pong !== undefined) {
      bytes = controlFrame(PONG, this.#pong, this.#masks);
      this.#pong = undefined;
    } else if (this.#pingWanted) {
      bytes = controlFrame(PING, NOTHING, this.#masks);
      this.#pingWanted = false;
    } else if (this.#source !== undefined) {
      this.#growPiece(this.#source.length - this.#encoded);
      this.#encoder.encode(this.#source, this.#encoded, this.#piece);
      this.#encoded += this.#encoder.consumed;
      bytes = this.#piece.subarray(0, this.#encoder.produced);
      this.#pieceOut = true;
      this.#within.taken = this.#within.consumed = 0;
    } else if (this.#ending) {
      bytes = closeFrame(NORMAL, "", this.#masks);
      this.#closeSent = true;
    } else return;
    this.#writing = true;
    this.#below.write(bytes);
  }

  /** Makes the piece large enough for `bytes` bytes of many small frames, within its limits. */
  #growPiece(bytes: number): void {
    const wanted = Math.min(bytes + (bytes >>> 2), MAX_PIECE);
    let size = Math.max(this.#piece.length, MIN_PIECE);
    while (size < wanted) size *= 2;
    if (size > this.#piece.length) this.#piece = new Uint8Array(size);
  }

  #goOn(): void {
    if (this.#over || this.#paused || this.#sink === undefined) return;
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      this.onData(held);
      if (this.#over || this.#paused) return;
    }
    if (this.#endHeld) return this.#reportEnd();
    this.#below.resume();
  }

  #reportEnd(): void {
    this.#endHeld = false;
    if (this.#endReported) return;
    this.#endReported = true;
    this.#sink!.onEnd();
  }

  #onControl(opcode: number, payload: Uint8Array): void {
    if (opcode === PING) {
      // Only the last Ping needs an answer (RFC 6455, 5.5.3), so a peer that never reads needs no memory.
      this.#pong = payload.slice();
      if (!this.#writing) this.#writeNext();
    } else if (opcode === PONG && !this.#paused) this.#sink!.onData(NOTHING);
    else if (opcode === CLOSE) this.#closeReceived = true;
  }

  /** Closes with an error; sends the reason to the peer unless a write is in progress. */
  #fail(error: Error): void {
    if (!this.#writing) {
      const code = error instanceof LimitError ? TOO_BIG : PROTOCOL_ERROR;
      this.#below.write(closeFrame(code, messageOf(error), this.#masks));
    }
    this.close(
      error instanceof ProtocolError || error instanceof LimitError
        ? error
        : new ProtocolError(messageOf(error)),
    );
  }
}

function webName(endpoint: string): string {
  return endpoint.replace(/^tcp:/, "ws:").replace(/^tls:/, "wss:");
}
