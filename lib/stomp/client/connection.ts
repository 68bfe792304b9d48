import { ProtocolError } from "../../errors.ts";
import { ClientConnection } from "../../link/client_connection.ts";
import type { ByteStream } from "../../transport/stream.ts";
import type { StompDecoder, StompSink } from "../frame_decoder.ts";
import { StompEncoder } from "../frame_encoder.ts";
import type { StompFrame, StompVersion } from "../frame.ts";
import { StompError } from "../stomp_error.ts";
import type { StompLogin } from "./handshake.ts";
import type { StompServer } from "./url.ts";

const TERMS = { protocol: "STOMP", goodbye: "an ERROR frame", interval: "heart-beat interval" };
/** The receipts of `call` begin with this; those of messages are numbers. */
const CALL = "call-";

/** Callbacks of a connection. An error that they throw closes the connection. */
export interface StompConnectionEvents {
  /** A MESSAGE frame arrived. It is valid during the call only. */
  onMessage?(frame: StompFrame): void;
  /** A receipt arrived that is not of a `call`. */
  onReceipt?(id: string): void;
  /**
   * The server sent an ERROR frame; the connection closes.
   *
   * @param receipt the receipt of the refused frame, if the server knows it
   * @param subscription the id of the subscription that the server cancelled
   * @returns another error to close the connection with
   */
  onError?(
    error: StompError,
    receipt: string | undefined,
    subscription: string | undefined,
  ): Error | undefined;
  /** All frames of one received chunk were reported. */
  onBatchEnd?(): void;
  /** The system accepted output, so that the output buffer has room again. */
  onWritable?(): void;
}

interface Call {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A connection after the handshake: it is open or closed, there is no half-open state. */
export class StompConnection extends ClientConnection implements StompSink {
  readonly address: StompServer;
  readonly version: StompVersion;
  readonly server: string;
  /** The output buffer; call `flush` after writing to it. */
  readonly encoder: StompEncoder;
  events: StompConnectionEvents = {};
  /** Whether the server ended the connection without an ERROR frame. */
  endedByServer = false;

  readonly #decoder: StompDecoder;
  /** By receipt. */
  readonly #calls = new Map<string, Call>();
  #lastCall = 0;
  /** Whether a frame was reported since the last `onBatchEnd`. */
  #fresh = false;

  /** @param maxMessage the size limit for received messages, in bytes */
  constructor(stream: ByteStream, login: StompLogin, address: StompServer, maxMessage: number) {
    const encoder = new StompEncoder();
    super(stream, encoder.out, TERMS);
    this.encoder = encoder;
    this.address = address;
    this.server = login.server;
    this.version = this.encoder.version = login.version;
    this.#decoder = login.decoder;
    this.#decoder.maxBody = maxMessage;
    this.#decoder.sink = this;
    this.attach();
    this.keepAlive(login.sendInterval, login.receiveInterval);
    this.guard(() => this.#report(() => this.#decoder.resume()));
    const failure = login.failure();
    if (failure !== undefined) this.abort(failure);
  }

  /**
   * Sends a frame, and waits for its receipt.
   *
   * @throws {StompError} the server refused it
   * @throws {UnreachableError | ClosedError} the connection is closed
   */
  async call(command: string, headers: readonly (readonly [name: string, value: string])[]): Promise<void> {
    this.checkOpen();
    await this.#call(command, headers);
  }

  override onEnd(): void {
    this.endedByServer = !this.over;
    super.onEnd();
  }

  onFrame(frame: StompFrame): void {
    if (this.over && !this.closing) return;
    switch (frame.command) {
      case "MESSAGE":
        // After DISCONNECT, messages go back to their queues.
        if (this.closing) return;
        this.#fresh = true;
        return this.events.onMessage?.(frame);
      case "RECEIPT":
        return this.#onReceipt(frame.get("receipt-id") ?? "");
      case "ERROR":
        return this.#onError(frame);
      default:
        throw new ProtocolError(
          `The server sent the frame ${frame.command.slice(0, 20)}, which servers do not send`,
        );
    }
  }

  protected override onInput(chunk: Uint8Array): void {
    this.#report(() => this.#decoder.push(chunk));
  }

  protected override onWritable(): void {
    this.events.onWritable?.();
  }

  /** Earlier frames are processed when the receipt arrives ("DISCONNECT"). */
  protected override sayGoodbye(): void {
    this.#call("DISCONNECT", []).then(() => this.abort(), () => {});
  }

  protected override onBeat(wrote: boolean): void {
    if (!wrote) this.encoder.heartbeat();
  }

  protected override onOver(reason: Error): void {
    for (const { reject } of this.#calls.values()) reject(reason);
    this.#calls.clear();
  }

  #call(command: string, headers: readonly (readonly [name: string, value: string])[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const receipt = `${CALL}${++this.#lastCall}`;
      this.encoder.frame(command, [...headers, ["receipt", receipt]]);
      this.flush();
      this.#calls.set(receipt, { resolve, reject });
    });
  }

  #onReceipt(id: string): void {
    const call = this.#calls.get(id);
    if (call !== undefined) {
      this.#calls.delete(id);
      return call.resolve();
    }
    this.#fresh = true;
    this.events.onReceipt?.(id);
  }

  /** The connection ends with any ERROR frame, as the specification says. RabbitMQ keeps some open. */
  #onError(frame: StompFrame): void {
    const details = new TextDecoder().decode(frame.body.subarray(frame.bodyStart, frame.bodyEnd));
    const error = new StompError(frame.get("message") ?? "ERROR", details);
    if (this.closing) return this.abort();
    this.abort(this.events.onError?.(error, frame.get("receipt-id"), frame.get("subscription")) ?? error);
  }

  /** Calls `work`, which reports received frames. */
  #report(work: () => void): void {
    work();
    if (!this.#fresh) return;
    this.#fresh = false;
    this.events.onBatchEnd?.();
  }
}
