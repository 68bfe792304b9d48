import { type AmqpError, amqpError } from "../../amqp/amqp_error.ts";
import { isCapable } from "../../amqp/capabilities.ts";
import { METHOD } from "../../amqp/frames/frame.ts";
import type { FrameDecoder, FrameSink } from "../../amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../amqp/frames/frame_encoder.ts";
import { decodeMethod, methodId, readMethodId } from "../../amqp/method_codec.ts";
import { METHODS } from "../../amqp/methods.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { UnreachableError } from "../../errors.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import type { Broker } from "../server.ts";
import { ServerChannel } from "./channel/channel.ts";
import { replyFor } from "./replies.ts";
import type { Access } from "../core/users/user_store.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { ServerLogin } from "./handshake.ts";

/** Over this much output no more messages are delivered, and over the second no more is read, in bytes. */
const HIGH_WATER = 256 * 1024;
const BACKLOG = 4 * 2 ** 20;
/** How long a client may take to answer our close, in milliseconds. */
const FAREWELL_MS = 5000;
const CHANNEL_OPEN = METHODS["channel.open"].id;
const CHANNEL_CLOSE_OK = METHODS["channel.close-ok"].id;

/** A client's running connection: the handshake is done, and there is no half-open state. */
export class ServerConnection implements StreamSink, FrameSink {
  readonly broker: Broker;
  readonly vhost: VirtualHost<Queue>;
  readonly user: string;
  readonly access: Access;
  readonly clientProperties: FieldTable;
  readonly encoder: FrameEncoder = new FrameEncoder();
  /** Both ends, as endpoints. */
  readonly local: string;
  readonly remote: string;
  readonly connectedAt: number = Date.now();
  readonly frameMax: number;
  readonly heartbeat: number;
  readonly channelMax: number;
  readonly channels: (ServerChannel | undefined)[] = [];
  /** Queues that only this connection may use; they go with it. */
  readonly exclusiveQueues: Set<Queue> = new Set();
  /** Bytes that came and went. */
  received = 0;
  sent = 0;
  /** Whether it is to be flushed at the end of the turn; kept by the broker. */
  dirty = false;
  /** Whether it has published while the broker takes no messages. */
  held = false;

  /** Channels that are open. */
  #open = 0;
  readonly #stream: ByteStream;
  readonly #decoder: FrameDecoder;
  #flight: Uint8Array | undefined;
  #overBacklog = false;
  /** Why it ends, once that is decided. */
  #closing: { readonly cause: Error | undefined } | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether nothing more will be said behind what is encoded. */
  #saidGoodbye = false;
  /** Whether the position in the client's bytes is lost. */
  #desynchronized = false;
  #over = false;
  /** Half heartbeat intervals in which nothing came, and when the current one ends. */
  #silence = 0;
  #beatAt: number;
  #heard = false;
  #wrote = false;

  constructor(broker: Broker, stream: ByteStream, login: ServerLogin) {
    this.broker = broker;
    this.#stream = stream;
    this.local = stream.local;
    this.remote = stream.remote;
    this.vhost = login.vhost as VirtualHost<Queue>;
    this.user = login.user;
    this.access = login.access;
    this.clientProperties = login.clientProperties;
    this.heartbeat = login.heartbeat;
    this.channelMax = login.channelMax;
    this.#decoder = login.reader.decoder;
    this.frameMax = this.#decoder.frameMax = this.encoder.frameMax = login.frameMax;
    this.#beatAt = performance.now() + this.heartbeat * 500;
    stream.closed.then((cause) => this.#onClosed(cause));
  }

  /** Begins to handle what comes, what came with the handshake first. */
  start({ reader }: ServerLogin): void {
    this.#stream.attach(this);
    this.#handle(() => reader.handOver(this));
  }

  /** Whether another message can be delivered. */
  get writable(): boolean {
    return this.encoder.out.length < HIGH_WATER && this.#closing === undefined && !this.#over;
  }

  /** Whether so much waits to be read by the client that nothing more is to be done for it. */
  get overBacklog(): boolean {
    return this.encoder.out.length > BACKLOG && this.#closing === undefined;
  }

  /** Whether the client wants to be told when the broker takes no messages. */
  get hearsBlocked(): boolean {
    return isCapable(this.clientProperties, "connection.blocked");
  }

  /** Whether it is over, or about to be. */
  get closing(): boolean {
    return this.#closing !== undefined || this.#over;
  }

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.#heard = true;
    if (!this.#over && !this.#desynchronized) this.#handle(() => this.#decoder.push(chunk));
  }

  onEnd(): void {
    this.#stream.close(
      this.#closing === undefined
        ? new UnreachableError("The client went away without a goodbye")
        : this.#closing.cause,
    );
  }

  onDrain(): void {
    const done = this.#flight!;
    this.#flight = undefined;
    this.encoder.out.recycle(done);
    this.flush();
    if (this.#overBacklog && this.encoder.out.length < HIGH_WATER) {
      this.#overBacklog = false;
      if (!this.#over && !this.#desynchronized) this.#handle(() => this.#decoder.resume());
      this.#resume();
    }
    if (!this.writable) return;
    this.broker.begin();
    for (const channel of this.channels) channel?.onWritable();
    this.broker.end();
  }

  onProtocolHeader(): void {
    // It was taken during the handshake.
  }

  onFrame(type: number, number: number, bytes: Uint8Array, start: number, end: number): void {
    const method = type === METHOD && end - start >= 4 ? readMethodId(bytes, start, end) : 0;
    try {
      if (number === 0) {
        if (type === METHOD) this.#onMethod(bytes, start, end);
        return;
      }
      if (this.#closing !== undefined) return;
      const channel = this.channels[number];
      if (channel !== undefined) channel.onFrame(type, method, bytes, start, end);
      else if (method === CHANNEL_OPEN) this.#openChannel(number);
      else if (type !== METHOD) throw amqpError(505, "expected method frame, got non method frame instead");
      else if (method !== CHANNEL_CLOSE_OK) throw amqpError(504, "expected 'channel.open'", { method });
    } catch (error) {
      // Not up through the decoder, which would lose its position, and with it the client's answer.
      this.fail(replyFor(error, method));
    }
  }

  /** Has the encoded frames written at the end of the turn. */
  touch(): void {
    if (!this.dirty) this.broker.dirty(this);
  }

  /** Starts writing, unless a write is under way: then what was encoded follows it. */
  flush(): void {
    this.dirty = false;
    if (this.#flight !== undefined || this.#over) return;
    if (this.encoder.out.length === 0) {
      if (this.#saidGoodbye) this.#stream.end();
      return;
    }
    this.#flight = this.encoder.out.take();
    this.#wrote = true;
    this.sent += this.#flight.length;
    this.#stream.write(this.#flight);
  }

  /** Stops reading while the broker takes no messages, as the client published nevertheless. */
  hold(reason: string): void {
    if (this.held) return;
    this.held = true;
    this.#stream.pause();
    if (this.hearsBlocked) this.encoder.method(0, "connection.blocked", { reason });
    this.touch();
  }

  /** The broker takes messages again. */
  release(): void {
    if (!this.held) return;
    this.held = false;
    if (this.hearsBlocked) this.encoder.method(0, "connection.unblocked", {});
    this.touch();
    this.#resume();
  }

  /** Ends it with a reply to the client, who has a while to answer (2.2.4). */
  fail(error: AmqpError): void {
    if (this.#closing !== undefined || this.#over) return;
    this.#end(error);
    this.encoder.method(0, "connection.close", error);
    this.touch();
    // What is still on its way must be read, or the client's answer never comes.
    this.held = this.#overBacklog = false;
    if (!this.#desynchronized) this.#handle(() => this.#decoder.resume());
    this.#stream.resume();
    this.#closeTimer = setTimeout(() => this.#stream.close(error), FAREWELL_MS);
  }

  /** Ends it at once. */
  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  /** Twice per interval: a sign of life where nothing was written, and a look whether one came (4.2.7). */
  beat(now: number): void {
    if (this.heartbeat === 0 || now < this.#beatAt) return;
    this.#beatAt = now + this.heartbeat * 500;
    if (!this.#wrote && this.#flight === undefined) {
      this.encoder.heartbeat();
      this.flush();
    }
    this.#wrote = false;
    this.#silence = this.#heard || this.held || this.#overBacklog ? 0 : this.#silence + 1;
    this.#heard = false;
    // Two intervals, as in RabbitMQ: one heartbeat may be late.
    if (this.#silence >= 4) {
      this.#stream.close(
        new UnreachableError(`The client was silent for ${2 * this.heartbeat} s (heartbeats)`),
      );
    }
  }

  /** A channel is over, and its number free. */
  forget(channel: ServerChannel): void {
    this.channels[channel.number] = undefined;
    this.#open--;
  }

  /** Handles input within one turn of the broker; input that is no AMQP ends the connection. */
  #handle(work: () => void): void {
    this.broker.begin();
    try {
      work();
    } catch (error) {
      this.#desynchronized = true;
      this.fail(replyFor(error, 0));
    }
    this.broker.end();
    if (this.overBacklog || this.#decoder.holding) this.#stop();
  }

  #onMethod(bytes: Uint8Array, start: number, end: number): void {
    const { name } = decodeMethod(bytes, start, end);
    switch (name) {
      case "connection.close-ok":
        if (this.#closing === undefined) break;
        return this.#stream.close(this.#closing.cause);
      case "connection.close":
        // Both ends closing at once is no error (2.2.4).
        if (this.#closing === undefined) this.#end(undefined);
        this.encoder.method(0, "connection.close-ok", {});
        this.#saidGoodbye = true;
        this.touch();
        this.#closeTimer ??= setTimeout(() => this.#stream.close(), FAREWELL_MS);
        return;
      case "connection.update-secret":
        if (this.#closing !== undefined) return;
        this.encoder.method(0, "connection.update-secret-ok", {});
        return this.touch();
    }
    if (this.#closing === undefined) {
      throw amqpError(504, "unexpected method in connection state running", { method: methodId(name) });
    }
  }

  #openChannel(number: number): void {
    if (this.channelMax > 0 && this.#open >= this.channelMax) {
      throw amqpError(
        530,
        `number of channels opened (${this.#open}) has reached the negotiated channel_max (${this.channelMax})`,
      );
    }
    this.channels[number] = new ServerChannel(this, number);
    this.#open++;
    this.encoder.method(number, "channel.open-ok", {});
    this.touch();
  }

  /** Gives everything back that the client held. */
  #end(cause: Error | undefined): void {
    this.#closing = { cause };
    for (const channel of this.channels) channel?.release();
    this.channels.length = 0;
    for (const queue of this.exclusiveQueues) this.broker.deleteQueue(queue);
    this.exclusiveQueues.clear();
  }

  #stop(): void {
    this.#overBacklog = true;
    this.#stream.pause();
  }

  #resume(): void {
    if (!this.held && !this.#overBacklog) this.#stream.resume();
  }

  #onClosed(cause: Error | undefined): void {
    this.#over = true;
    clearTimeout(this.#closeTimer);
    this.broker.begin();
    if (this.#closing === undefined) this.#end(cause ?? new UnreachableError("The connection was closed"));
    this.broker.onConnectionClosed(this, this.#closing?.cause);
    this.broker.end();
  }
}
