import type { FieldTable } from "../../amqp/types/field_value.ts";
import { LimitError, UnreachableError } from "../../errors.ts";
import type { StompDecoder, StompSink } from "../../stomp/frame_decoder.ts";
import { StompEncoder } from "../../stomp/frame_encoder.ts";
import type { StompFrame, StompVersion } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import type { BodyWaiter } from "../core/clients/body_budget.ts";
import { ClientOutput } from "../core/clients/client_output.ts";
import { type ConnectionEndHost, endConnection } from "../core/clients/connection_end.ts";
import { randomName } from "../core/clients/names.ts";
import { StallWatch } from "../core/clients/stall_watch.ts";
import type { Cycle, Flushable } from "../core/cycle.ts";
import { MessageStats } from "../core/message_stats.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Access } from "../core/users/user_store.ts";
import type { ClientConnection } from "../protocol.ts";
import type { SessionConnection, SessionHost } from "./contract.ts";
import { type StompLogin, writeError } from "./login.ts";
import { replyFor } from "./replies.ts";
import { StompSession } from "./session.ts";

/** Time for a client to close the connection after our last frame, in milliseconds. */
const FAREWELL_MS = 2000;

/** What a connection needs of the server. */
export interface ConnectionHost extends SessionHost, ConnectionEndHost {
  readonly cycle: Cycle;
  /** Name and version of the product. */
  readonly product: string;
  /** Time after which a client is disconnected that reads nothing while output waits, in milliseconds. */
  readonly stallTimeout: number;
  /** Deletes an exclusive queue whose connection ends; reports a failure instead of throwing. */
  deleteQueue(queue: Queue): void;
  /** The connection has ended. */
  onDisconnected(connection: StompConnection, cause: Error | undefined): void;
}

/** A client's running connection: the login is complete. */
export class StompConnection
  implements StreamSink, StompSink, SessionConnection, ClientConnection, Flushable {
  readonly protocol: string;
  readonly version: StompVersion;
  readonly vhost: VirtualHost;
  readonly user: string;
  readonly access: Access;
  readonly clientProperties: FieldTable = { product: "STOMP client" };
  readonly encoder: StompEncoder = new StompEncoder();
  readonly stats: MessageStats = new MessageStats();
  readonly sessionId: string = `session-${randomName()}`;
  /** Endpoints of both ends. */
  readonly local: string;
  readonly remote: string;
  readonly connectedAt: number = Date.now();
  readonly frameMax = 0;
  readonly channelMax = 1;
  readonly heartbeat: number;
  readonly channels: readonly (StompSession | undefined)[];
  readonly exclusiveQueues: Set<Queue> = new Set();
  /** Bytes received. */
  received: number;
  flushScheduled = false;
  /** Whether it published while the broker took no messages, and is not read until the broker takes messages again. */
  held = false;

  readonly #host: ConnectionHost;
  readonly #stream: ByteStream;
  readonly #decoder: StompDecoder;
  readonly #session: StompSession;
  readonly #sendInterval: number;
  readonly #maxSilence: number;
  readonly #watch: StallWatch;
  readonly #output: ClientOutput;
  /** Whether input is not read because too much output is pending. */
  #overBacklog = false;
  /** The memory that is reserved for a body, in bytes, and the wait for it. */
  #reserved = 0;
  #waiter: BodyWaiter | undefined;
  /** Set when the connection is closing: input is ignored. */
  #closing: { readonly cause: Error | undefined } | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether everything was encoded that the client gets. */
  #complete = false;
  /** Whether our half of the stream has ended; whether the stream is closed. */
  #ended = false;
  #over = false;
  /** When bytes were last received and sent, on the clock of `beat`. */
  #heardAt: number;
  #wroteAt: number;

  constructor(host: ConnectionHost, stream: ByteStream, login: StompLogin) {
    this.#host = host;
    this.#heardAt = this.#wroteAt = host.cycle.clock.monotonic();
    this.#stream = stream;
    this.#output = new ClientOutput(stream, this.encoder.out, host.cycle);
    this.#decoder = login.decoder;
    this.#sendInterval = login.sendInterval;
    this.#maxSilence = login.maxSilence;
    this.#watch = new StallWatch(host.stallTimeout);
    this.local = stream.local;
    this.remote = stream.remote;
    this.vhost = login.vhost;
    this.user = login.user;
    this.access = login.access;
    this.version = this.encoder.version = login.version;
    this.protocol = `STOMP ${login.version}`;
    this.heartbeat = login.receiveInterval;
    this.received = login.received;
    this.#session = new StompSession(this, host);
    this.channels = [undefined, this.#session];
    stream.closed.then((cause) => this.#onClosed(cause));
  }

  /** Sends CONNECTED and starts to handle input. A refusal closes the connection at once. */
  start(login: StompLogin, refusal?: Error): void {
    this.encoder.frame("CONNECTED", [
      ["server", this.#host.product],
      ["session", this.sessionId],
      ["heart-beat", `${this.#sendInterval * 1000},${this.heartbeat * 1000}`],
      ["version", this.version],
    ]);
    this.#decoder.sink = this;
    this.#stream.attach(this);
    const failure = login.failure();
    if (failure !== undefined) return this.#stream.close(failure);
    this.#handle(() => {
      this.touch();
      if (refusal !== undefined) this.fail(refusal);
      else this.#decoder.resume();
    });
  }

  /** Bytes sent. */
  get sent(): number {
    return this.#output.sent;
  }

  get writable(): boolean {
    return this.#output.hasRoom && this.#closing === undefined && !this.#over;
  }

  /** Whether further input is kept by the decoder. */
  get overBacklog(): boolean {
    return this.held || this.#waiter !== undefined || this.#closing !== undefined ||
      this.#output.overBacklog;
  }

  get state(): ClientConnection["state"] {
    if (this.#closing !== undefined || this.#over) return "closing";
    return this.held ? "blocked" : "running";
  }

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.#heardAt = this.#host.cycle.clock.monotonic();
    if (!this.#over && this.#closing === undefined) this.#handle(() => this.#decoder.push(chunk));
  }

  onEnd(): void {
    // A client that ends its half may still read what it gets for its last frames.
    this.#closeTimer ??= setTimeout(() => this.#stream.close(this.#closing?.cause), FAREWELL_MS);
    if (this.#closing === undefined) {
      const cause = new UnreachableError("The client closed the connection without DISCONNECT");
      this.#handle(() => this.#disconnect(undefined, cause));
    } else if (this.#ended) this.#stream.close(this.#closing.cause);
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
      this.#session.subscriptions.wakeQueues();
    } finally {
      this.#host.cycle.end();
    }
  }

  onFrame(frame: StompFrame): void {
    this.#free();
    try {
      if (frame.command === "DISCONNECT") this.#disconnect(frame.get("receipt"));
      else if (frame.command === "CONNECT" || frame.command === "STOMP") {
        throw new StompError("Illegal command", "You are logged in already\n");
      } else this.#session.onFrame(frame);
    } catch (error) {
      this.#refuse(error, frame.get("receipt"));
    }
  }

  /** Reserves memory for a body; the connection is not read while there is too little. */
  onBody(size: number, isKnown: boolean): void {
    const { bodies } = this.#host;
    const more = size - this.#reserved;
    if (bodies.reserve(more)) {
      this.#reserved = size;
      return;
    }
    if (!isKnown) {
      throw new LimitError(
        "The memory for messages is full: a header content-length would let the message wait for it",
      );
    }
    this.#waiter = {
      size: more,
      admit: () => {
        this.#waiter = undefined;
        this.#reserved = size;
        queueMicrotask(() => this.#resume());
      },
    };
    bodies.wait(this.#waiter);
    this.#stream.pause();
  }

  touch(): void {
    this.#host.cycle.scheduleFlush(this);
  }

  /** Writes the encoded frames, unless a write is in progress: then they are written after it. */
  flush(): void {
    this.flushScheduled = false;
    if (this.#over || this.#ended) return;
    if (this.#output.flush()) this.#wroteAt = this.#host.cycle.clock.monotonic();
    else if (this.#complete && this.#output.idle) this.#endStream();
  }

  hold(): void {
    this.held = true;
    this.#stream.pause();
  }

  block(): void {
    // A message is held when it is published: the client cannot be told before.
  }

  release(): void {
    if (!this.held) return;
    this.held = false;
    // Each connection has a cycle of its own, so that the memory is checked in between.
    queueMicrotask(() => this.#resume());
  }

  fail(error: Error): void {
    if (this.#over || this.#closing !== undefined) return;
    this.#host.cycle.begin();
    try {
      this.#refuse(error);
    } finally {
      this.#host.cycle.end();
    }
  }

  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  /** Checks that the client reads and sends, and sends a heart-beat if nothing was written ("Heart-beating"). */
  beat(now: number, real: number): void {
    this.#checkStall(real);
    if (this.#closing !== undefined || this.#over) return;
    // Half of the interval, because the clock ticks only a few times a second.
    if (
      this.#sendInterval > 0 && now - this.#wroteAt >= this.#sendInterval * 500 && !this.#output.writing
    ) {
      this.encoder.heartbeat();
      this.flush();
    }
    if (this.#maxSilence === 0) return;
    if (this.held || this.#waiter !== undefined || this.#overBacklog) this.#heardAt = now;
    if (now - this.#heardAt > this.#maxSilence) {
      this.#stream.close(
        new UnreachableError(`The client was silent for ${this.#maxSilence / 1000} s (heart-beats)`),
      );
    }
  }

  /** Handles DISCONNECT: the connection is closed when all messages are safe and all receipts are sent. */
  #disconnect(receipt: string | undefined, cause?: Error): void {
    this.#end(cause);
    this.#session.sending.promise(receipt, this.#host.position, () => this.#finish());
  }

  /** Sends an ERROR frame and closes the connection. */
  #refuse(error: unknown, receipt?: string): void {
    if (this.#closing !== undefined) return;
    const reply = replyFor(error);
    const { sending } = this.#session;
    sending.confirm(this.#host.safePosition);
    sending.release();
    this.#end(reply);
    writeError(this.encoder, reply, receipt);
    this.#finish();
  }

  /** Closes the connection after the output was written. */
  #finish(): void {
    this.#complete = true;
    this.touch();
    this.#closeTimer ??= setTimeout(() => this.#stream.close(this.#closing?.cause), FAREWELL_MS);
    // Input must be read and ignored, or it would turn our close into a reset, which discards our last frame.
    if (this.held || this.#overBacklog) this.#stream.resume();
  }

  #endStream(): void {
    this.#ended = true;
    this.#stream.end();
  }

  /** Closes the connection of a client that reads nothing, or does not continue a message while others wait for its memory. */
  #checkStall(now: number): void {
    const { taken, writing } = this.#output;
    const awaitsBody = this.#reserved > 0 && this.#host.bodies.crowded && !this.held && !this.#overBacklog;
    const cause = this.#watch.checkReading(now, writing, taken) ??
      this.#watch.checkSending(now, awaitsBody, this.received);
    if (cause !== undefined) this.#stream.close(cause);
  }

  /** Handles input within one cycle; malformed input ends the connection. */
  #handle(work: () => void): void {
    this.#host.cycle.begin();
    try {
      work();
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#host.cycle.end();
    }
    // Kept input is handled after the write in progress, or when the reason to wait has passed.
    if (this.held || this.#waiter !== undefined || this.#closing !== undefined) return;
    if (this.#output.overBacklog || this.#decoder.holding && this.#output.writing) {
      this.#overBacklog = true;
      this.#stream.pause();
    }
  }

  /** Handles the input that the decoder has kept, and reads again, unless there is still a reason to wait. */
  #resume(): void {
    const waits = () => this.held || this.#waiter !== undefined || this.#overBacklog || this.#over;
    if (waits()) return;
    if (this.#closing === undefined) this.#handle(() => this.#decoder.resume());
    if (!waits()) this.#stream.resume();
  }

  /** Returns the memory that was reserved for a body. */
  #free(): void {
    const { bodies } = this.#host;
    if (this.#waiter !== undefined) {
      bodies.leave(this.#waiter);
      this.#waiter = undefined;
    }
    if (this.#reserved === 0) return;
    bodies.free(this.#reserved);
    this.#reserved = 0;
  }

  /** Releases everything that the client holds. */
  #end(cause: Error | undefined): void {
    this.#closing = { cause };
    this.#free();
    this.#session.release();
    for (const queue of this.exclusiveQueues) this.#host.deleteQueue(queue);
    this.exclusiveQueues.clear();
  }

  #onClosed(cause: Error | undefined): void {
    this.#over = true;
    clearTimeout(this.#closeTimer);
    endConnection(this.#host, () => {
      if (this.#closing === undefined) this.#end(cause ?? new UnreachableError("The connection was closed"));
      this.#session.sending.release();
    }, () => this.#host.onDisconnected(this, this.#closing?.cause));
  }
}
