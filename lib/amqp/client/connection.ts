import { ClientConnection } from "../../link/client_connection.ts";
import type { ByteStream } from "../../transport/stream.ts";
import { AmqpError, amqpError, errorFromClose } from "../amqp_error.ts";
import { METHOD } from "../frames/frame.ts";
import type { FrameDecoder, FrameSink } from "../frames/frame_decoder.ts";
import { FrameEncoder } from "../frames/frame_encoder.ts";
import { decodeMethod } from "../method_codec.ts";
import { Channel, type ChannelEvents } from "./channel.ts";
import type { Tuned } from "./handshake.ts";

const TERMS = { protocol: "AMQP", goodbye: "connection.close", interval: "heartbeat interval" };

/** Callbacks of a connection. */
export interface ConnectionEvents {
  /** The system accepted output, so that the output buffer has room again. */
  onWritable?(): void;
  /** The server accepts no messages for the given reason; undefined: it accepts messages again. */
  onBlocked?(reason: string | undefined): void;
}

/** A connection after the handshake: it is open or closed, there is no half-open state. */
export class AmqpConnection extends ClientConnection implements FrameSink {
  readonly server: string;
  /** Whether the server supports `peek.ts`: it is mqcat's own broker. */
  readonly peeks: boolean;
  /** Whether the server supports `dump.ts`: it is mqcat's own broker. */
  readonly dumps: boolean;
  /** Whether the server supports the filters and sweeps of `peek.ts`. */
  readonly sweeps: boolean;
  /** The output buffer; call `flush` after writing to it. */
  readonly encoder: FrameEncoder;
  events: ConnectionEvents = {};
  /** The reason why the server accepts no messages; undefined when it does. */
  blocked: string | undefined;

  readonly #decoder: FrameDecoder;
  readonly #channels = new Map<number, Channel>();
  readonly #channelMax: number;
  readonly #maxMessage: number;
  #lastChannel = 0;

  /** @param maxMessage the size limit for received messages, in bytes */
  constructor(stream: ByteStream, tuned: Tuned, maxMessage: number) {
    const encoder = new FrameEncoder();
    super(stream, encoder.out, TERMS);
    this.encoder = encoder;
    this.server = tuned.server;
    this.peeks = tuned.peeks;
    this.dumps = tuned.dumps;
    this.sweeps = tuned.sweeps;
    this.#decoder = tuned.reader.decoder;
    this.#decoder.frameMax = this.encoder.frameMax = tuned.frameMax;
    this.#channelMax = tuned.channelMax;
    this.#maxMessage = maxMessage;
    this.attach();
    tuned.reader.handOver(this);
    this.keepAlive(tuned.heartbeat * 1000, tuned.heartbeat * 1000);
  }

  /**
   * Opens a channel.
   *
   * @throws {ClosedError} the connection was closed with `close`
   * @throws {UnreachableError | AmqpError} the connection is lost, or the server closed it
   * @throws {AmqpError} 504: all channels that the server allows are open
   */
  async open(events: ChannelEvents = {}): Promise<Channel> {
    this.checkOpen();
    if (this.#channels.size >= this.#channelMax) {
      throw amqpError(504, `all ${this.#channelMax} channels are open`);
    }
    let id = this.#lastChannel;
    do id = id % this.#channelMax + 1; while (this.#channels.has(id));
    this.#lastChannel = id;
    const channel = new Channel(this, id, events, this.#maxMessage);
    this.#channels.set(id, channel);
    channel.closed.then(() => this.#channels.delete(id));
    await channel.call("channel.open", {}, "channel.open-ok");
    return channel;
  }

  onProtocolHeader(): void {
    // The decoder of a client throws an error instead.
  }

  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    if (channel === 0) {
      if (type === METHOD) this.#onMethod(bytes, start, end);
      return;
    }
    const target = this.#channels.get(channel);
    if (target !== undefined) return target.onFrame(type, bytes, start, end);
    throw amqpError(504, `received a frame for channel ${channel}, which is not open`);
  }

  protected override onInput(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    for (const channel of this.#channels.values()) channel.afterData();
  }

  protected override onWritable(): void {
    this.events.onWritable?.();
  }

  /** The server replies with `connection.close-ok` (2.2.4). */
  protected override sayGoodbye(): void {
    this.encoder.method(0, "connection.close", { replyCode: 200, replyText: "Goodbye" });
  }

  protected override sayError(error: Error): void {
    if (error instanceof AmqpError) this.encoder.method(0, "connection.close", error);
  }

  /** Heartbeats are 4.2.7. */
  protected override onBeat(wrote: boolean): void {
    if (!wrote) this.encoder.heartbeat();
  }

  protected override onOver(reason: Error): void {
    for (const channel of [...this.#channels.values()]) channel.end(reason);
  }

  #onMethod(bytes: Uint8Array, start: number, end: number): void {
    const { name, args } = decodeMethod(bytes, start, end);
    switch (name) {
      case "connection.blocked":
      case "connection.unblocked":
        this.blocked = name === "connection.blocked" ? args.reason : undefined;
        return this.events.onBlocked?.(this.blocked);
      case "connection.close-ok":
        return this.abort();
      case "connection.close":
        this.encoder.method(0, "connection.close-ok", {});
        return this.closeWritten(this.closing ? undefined : errorFromClose("connection", args));
      default:
        throw amqpError(503, `unexpected ${name} on channel 0`);
    }
  }
}
