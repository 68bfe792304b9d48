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
import type { ClientConnection } from "../protocol.ts";
import { ServerChannel } from "./channel/channel.ts";
import type { ChannelConnection, ChannelHost } from "./channel/contract.ts";
import { replyFor } from "./replies.ts";
import type { Cycle, Flushable } from "../core/cycle.ts";
import type { Access } from "../core/users/user_store.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { ServerLogin } from "./handshake.ts";
import { ClientOutput } from "../core/clients/client_output.ts";
import { type ConnectionEndHost, endConnection } from "../core/clients/connection_end.ts";
import { StallWatch } from "../core/clients/stall_watch.ts";

/** Time for a client to answer our close, in milliseconds. */
const FAREWELL_MS = 5000;
/** Time for a client to close the stream after our close-ok, in milliseconds; a heartbeat interval if that is shorter. */
const CLOSING_MS = 30_000;
const CHANNEL_OPEN = METHODS["channel.open"].id;
const CHANNEL_CLOSE_OK = METHODS["channel.close-ok"].id;

/** What a connection needs of the server. */
export interface ConnectionHost extends ChannelHost, ConnectionEndHost {
  readonly cycle: Cycle;
  /** Time after which a client is disconnected that reads nothing while output waits, in milliseconds. */
  readonly stallTimeout: number;
  /** Checks the limit of channels. @throws {AmqpError} 530: the user has the maximum number of open channels */
  checkChannels(user: string): void;
  /** Deletes an exclusive queue whose connection ends; reports a failure instead of throwing. */
  deleteQueue(queue: Queue): void;
  /** The connection has ended. */
  onDisconnected(connection: ServerConnection, cause: Error | undefined): void;
}

/** A client's running connection: the handshake is complete, so there is no half-open state. */
export class ServerConnection
  implements StreamSink, FrameSink, ChannelConnection, ClientConnection, Flushable {
  readonly protocol = "AMQP 0-9-1";
  readonly vhost: VirtualHost;
  readonly user: string;
  readonly access: Access;
  readonly clientProperties: FieldTable;
  readonly encoder: FrameEncoder = new FrameEncoder();
  /** Endpoints of both ends. */
  readonly local: string;
  readonly remote: string;
  readonly connectedAt: number = Date.now();
  readonly frameMax: number;
  readonly heartbeat: number;
  readonly channelMax: number;
  readonly channels: (ServerChannel | undefined)[] = [];
  /** Queues that only this connection may use; they are deleted when it ends. */
  readonly exclusiveQueues: Set<Queue> = new Set();
  /** Bytes received. */
  received = 0;
  flushScheduled = false;
  /** Whether it published while the broker took no messages, and is not read until the broker takes messages again. */
  held = false;
  reserved = 0;

  readonly #host: ConnectionHost;
  /** Number of open channels. */
  #open = 0;
  readonly #stream: ByteStream;
  readonly #decoder: FrameDecoder;
  readonly #output: ClientOutput;
  /** Whether it is not read until there is memory for the body of a message. */
  #waits = false;
  /** Whether input is not read because too much output is pending. */
  #overBacklog = false;
  /** Set when the connection is closing. */
  #closing: { readonly cause: Error | undefined } | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether `connection.close-ok` was encoded: nothing may follow, and the client closes the stream. */
  #saidGoodbye = false;
  /** Whether a malformed frame made the position of the next frame unknown: input is ignored. */
  #desynchronized = false;
  /** Whether the stream is closed. */
  #over = false;
  /** Number of half heartbeat intervals without input, and the end of the current one. */
  #silence = 0;
  #beatAt: number;
  #heard = false;
  #wrote = false;
  readonly #watch: StallWatch;

  constructor(host: ConnectionHost, stream: ByteStream, login: ServerLogin) {
    this.#host = host;
    this.#watch = new StallWatch(host.stallTimeout);
    this.#stream = stream;
    this.#output = new ClientOutput(stream, this.encoder.out, host.cycle);
    this.local = stream.local;
    this.remote = stream.remote;
    this.vhost = login.vhost;
    this.user = login.user;
    this.access = login.access;
    this.clientProperties = login.clientProperties;
    this.heartbeat = login.heartbeat;
    this.channelMax = login.channelMax;
    this.#decoder = login.reader.decoder;
    this.frameMax = this.#decoder.frameMax = this.encoder.frameMax = login.frameMax;
    this.#beatAt = host.cycle.clock.monotonic() + this.heartbeat * 500;
    stream.closed.then((cause) => this.#onClosed(cause));
  }

  /** Starts to handle input, first the frames that arrived during the handshake. A refusal closes it at once. */
  start({ reader }: ServerLogin, refusal?: AmqpError): void {
    this.#stream.attach(this);
    this.#handle(() => {
      if (refusal !== undefined) this.fail(refusal);
      reader.handOver(this);
    });
  }

  /** Bytes sent. */
  get sent(): number {
    return this.#output.sent;
  }

  /** Whether another message can be delivered. */
  get writable(): boolean {
    return this.#output.hasRoom && this.#closing === undefined && !this.#over;
  }

  /** Whether further input is kept by the decoder: too much output is pending, or the connection is held. */
  get overBacklog(): boolean {
    return (this.held || this.#waits || this.#output.overBacklog) && this.#closing === undefined;
  }

  /** Whether the client understands `connection.blocked`. */
  get #understandsBlocked(): boolean {
    return isCapable(this.clientProperties, "connection.blocked");
  }

  get state(): ClientConnection["state"] {
    if (this.#closing !== undefined || this.#over) return "closing";
    return this.held ? "blocked" : "running";
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
    this.#output.onDrain();
    this.flush();
    if (this.#overBacklog && this.#output.hasRoom) {
      this.#overBacklog = false;
      this.#resume();
    }
    if (!this.writable) return;
    this.#host.cycle.begin();
    try {
      for (const channel of this.channels) channel?.onWritable();
    } finally {
      this.#host.cycle.end();
    }
  }

  onProtocolHeader(): void {
    // It is handled during the handshake.
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
      // An error thrown through the decoder would lose its position, and the client's answer could not be read.
      this.fail(replyFor(error, method));
    }
  }

  touch(): void {
    this.#host.cycle.scheduleFlush(this);
  }

  /** Writes the encoded frames, unless a write is in progress: then they are written after it. */
  flush(): void {
    this.flushScheduled = false;
    if (!this.#over && this.#output.flush()) this.#wrote = true;
  }

  hold(reason: string): void {
    if (this.held) return;
    this.held = true;
    this.#stream.pause();
    if (this.#understandsBlocked) this.encoder.method(0, "connection.blocked", { reason });
    this.touch();
  }

  waitForRoom(waits: boolean): void {
    this.#waits = waits;
    if (waits) this.#stream.pause();
    else queueMicrotask(() => this.#resume());
  }

  /** The broker takes no messages: a message that is being received must wait, unless it will be refused. */
  block(reason: string): void {
    if (this.channels.some((channel) => channel?.publishing.mustWait === true)) this.hold(reason);
  }

  release(): void {
    if (!this.held) return;
    this.held = false;
    if (this.#understandsBlocked) this.encoder.method(0, "connection.unblocked", {});
    this.touch();
    // Each connection has a cycle of its own, so that the memory is checked in between.
    queueMicrotask(() => this.#resume());
  }

  /** Sends `connection.close` and waits a while for the client's answer (2.2.4). */
  fail(error: AmqpError): void {
    if (this.#over) return;
    // Nothing is left to say, but the output may still be on its way.
    if (this.#saidGoodbye && this.#output.idle) {
      return this.#stream.close(this.#closing?.cause);
    }
    if (this.#closing !== undefined) return;
    this.#end(error);
    this.encoder.method(0, "connection.close", error);
    this.touch();
    // Input must be read, or the client's answer never arrives.
    this.held = this.#waits = this.#overBacklog = false;
    if (!this.#desynchronized) this.#handle(() => this.#decoder.resume());
    this.#stream.resume();
    this.#closeTimer = setTimeout(() => this.#stream.close(error), FAREWELL_MS);
  }

  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  /** Checks that the client reads, and twice per heartbeat interval: sends a heartbeat if nothing was written, and checks that input arrived (4.2.7). */
  beat(now: number, real: number): void {
    this.#checkStall(real);
    if (this.heartbeat === 0 || now < this.#beatAt) return;
    this.#beatAt = now + this.heartbeat * 500;
    if (!this.#wrote && !this.#output.writing && !this.#saidGoodbye) {
      this.encoder.heartbeat();
      this.flush();
    }
    this.#wrote = false;
    this.#silence = this.#heard || this.held || this.#waits || this.#overBacklog ? 0 : this.#silence + 1;
    this.#heard = false;
    // Two intervals, as in RabbitMQ: one heartbeat may be late.
    if (this.#silence >= 4) {
      this.#stream.close(
        new UnreachableError(`The client was silent for ${2 * this.heartbeat} s (heartbeats)`),
      );
    }
  }

  forgetChannel(number: number): void {
    this.channels[number] = undefined;
    this.#open--;
    this.vhost.stats.channelsClosed++;
  }

  /** Closes the connection of a client that reads nothing, or does not continue a message while others wait for its memory. */
  #checkStall(now: number): void {
    const { taken, writing } = this.#output;
    const awaitsBody = this.reserved > 0 && this.#host.bodies.crowded && !this.held && !this.#overBacklog;
    const unread = this.#watch.checkReading(now, writing, taken);
    const unsent = this.#watch.checkSending(now, awaitsBody, this.received);
    const cause = unread ?? unsent;
    if (cause !== undefined) this.#stream.close(cause);
  }

  /** Handles input within one cycle; malformed input ends the connection. */
  #handle(work: () => void): void {
    this.#host.cycle.begin();
    try {
      work();
    } catch (error) {
      this.#desynchronized = true;
      this.fail(replyFor(error, 0));
    } finally {
      this.#host.cycle.end();
    }
    // Kept input is handled after the write in progress, or by `release`.
    if (
      !this.held && !this.#waits && (this.overBacklog || this.#decoder.holding && this.#output.writing)
    ) this.#stop();
  }

  #onMethod(bytes: Uint8Array, start: number, end: number): void {
    const { name } = decodeMethod(bytes, start, end);
    switch (name) {
      case "connection.close-ok":
        if (this.#closing === undefined) break;
        return this.#stream.close(this.#closing.cause);
      case "connection.close":
        // Both ends may close at the same time (2.2.4).
        if (this.#closing === undefined) this.#end(undefined);
        this.encoder.method(0, "connection.close-ok", {});
        this.#saidGoodbye = true;
        this.touch();
        // A client that sees the end of the stream first may take the close for a failure.
        this.#closeTimer ??= setTimeout(
          () => this.#stream.close(this.#closing?.cause),
          Math.min(this.heartbeat * 1000 || CLOSING_MS, CLOSING_MS),
        );
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
    if (this.#open >= this.channelMax) {
      throw amqpError(
        530,
        `number of channels opened (${this.#open}) has reached the negotiated channel_max (${this.channelMax})`,
      );
    }
    this.#host.checkChannels(this.user);
    this.channels[number] = new ServerChannel(this, this.#host, number);
    this.#open++;
    this.vhost.stats.channelsOpened++;
    this.encoder.method(number, "channel.open-ok", {});
    this.touch();
  }

  /** Releases everything that the client holds. */
  #end(cause: Error | undefined): void {
    this.#closing = { cause };
    for (const channel of this.channels) channel?.release();
    this.channels.length = 0;
    this.vhost.stats.channelsClosed += this.#open;
    for (const queue of this.exclusiveQueues) this.#host.deleteQueue(queue);
    this.exclusiveQueues.clear();
  }

  #stop(): void {
    this.#overBacklog = true;
    this.#stream.pause();
  }

  /** Handles the input that the decoder has kept, and reads again, unless there is still a reason to wait. */
  #resume(): void {
    if (this.held || this.#waits || this.#overBacklog || this.#over) return;
    if (!this.#desynchronized) this.#handle(() => this.#decoder.resume());
    if (!this.held && !this.#waits && !this.#overBacklog) this.#stream.resume();
  }

  #onClosed(cause: Error | undefined): void {
    this.#over = true;
    clearTimeout(this.#closeTimer);
    endConnection(this.#host, () => {
      if (this.#closing === undefined) this.#end(cause ?? new UnreachableError("The connection was closed"));
    }, () => this.#host.onDisconnected(this, this.#closing?.cause));
  }
}
