import { messageOf, ProtocolError, UnreachableError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import { Batch, COMMAND } from "./batch.ts";
import {
  encodeError,
  encodeGroup,
  encodePing,
  encodePong,
  encodeSubscription,
  parseCommand,
  parseError,
  pingTtl,
} from "./command.ts";
import { ZmtpFrameDecoder } from "./frame_decoder.ts";
import { asFrameStream } from "./frame_stream.ts";
import type { HandshakeResult } from "./handshake.ts";
import { Heartbeat, type HeartbeatTimes } from "./heartbeat.ts";
import type { Cipher } from "./mechanisms/mechanism.ts";
import { Outbox, type OutboxLimits } from "./outbox.ts";
import type { PeerInfo } from "./peer_info.ts";

/**
 * When the last write began this long ago, the next one waits until the end of the peer would be known, in milliseconds:
 * this process may have been suspended, and the peer may have closed the connection meanwhile.
 */
const STALE_MS = 250;
/** How many timers that write waits for. A runtime may call the first one before it has looked at its sockets. */
const STALE_TURNS = 3;

/** How long a peer may take to read why it is refused before the connection is closed, in milliseconds. */
const FAREWELL_MS = 500;

/** Receives the events of a connection: the socket that owns it. */
export interface ConnectionOwner {
  /** Messages arrived. `batch` and its bytes are valid during the call; the owner may modify them. */
  onBatch(from: ZmtpConnection, batch: Batch): void;
  /** The peer subscribed to a topic or cancelled its subscription (RFC 37, 2.7). `topic` is a view. */
  onSubscription(from: ZmtpConnection, topic: Uint8Array, subscribe: boolean): void;
  /** The peer joined or left a group (RFC 48). `group` is a view. */
  onGroup(from: ZmtpConnection, group: Uint8Array, join: boolean): void;
  /** The operating system accepted a write, so the outbox has room again. */
  onWritable(connection: ZmtpConnection): void;
}

/** A connection to one peer whose handshake is complete: decodes messages and commands, and writes its outbox. */
export class ZmtpConnection implements StreamSink {
  /** What the peer declared in the handshake. */
  readonly peer: PeerInfo;
  /** The messages and commands that wait to be written. */
  readonly outbox: Outbox;
  /** Resolves to the cause when the connection has ended; undefined for a regular end. Never rejects. */
  readonly closed: Promise<Error | undefined>;

  readonly #stream: ByteStream;
  readonly #owner: ConnectionOwner;
  /** Decodes plain frames. */
  readonly #decoder: ZmtpFrameDecoder;
  /** Decodes the bytes of the stream: the same decoder, or one for the frames that contain encrypted frames. */
  readonly #outer: ZmtpFrameDecoder;
  readonly #release: () => Uint8Array;
  readonly #hasEnded: () => boolean;
  readonly #heartbeat: Heartbeat;
  #ending = false;
  /** Whether our half has ended. */
  #ended = false;
  /** The number of completed writes. */
  #drains = 0;
  /** Whether a message or command has arrived. */
  #received = false;
  /** The time at which the last write began. Later events do not count: after a suspension they are late. */
  #wroteAt = performance.now();
  /** Whether a write waits until the end of the peer would be known. */
  #held = false;
  #closed = false;
  #refusal: Error | undefined;
  #refused = false;

  constructor(
    stream: ByteStream,
    { peer, cipher, release, hasEnded }: HandshakeResult,
    owner: ConnectionOwner,
    limits: OutboxLimits,
    maxMessage: number,
    heartbeat: HeartbeatTimes,
  ) {
    this.peer = peer;
    this.closed = stream.closed;
    this.#release = release;
    this.#hasEnded = hasEnded;
    this.#stream = stream;
    this.#owner = owner;
    // ZMTP 2.0 has no commands (RFC 15).
    const knowsPing = peer.version !== "2.0" && peer.version !== "none";
    const times = knowsPing ? heartbeat : { ...heartbeat, interval: 0 };
    const framed = asFrameStream(stream);
    this.#heartbeat = new Heartbeat(times, {
      // A WebSocket has Pings of its own, and libzmq answers no others there.
      ping: (ttl) => framed === undefined ? this.#sendCommand(encodePing(ttl)) : framed.ping(),
      progress: () => this.outbox.empty ? -1 : this.progress,
      expire: (error) => this.close(error),
    });
    const write = (frames: Uint8Array) =>
      cipher === undefined ? stream.write(frames) : this.#writeSealed(cipher, frames);
    const writeWhenFresh = (frames: Uint8Array) => {
      if (this.#ended) return; // A refused peer may still be sent messages until the connection is closed.
      const now = performance.now();
      if (now - this.#wroteAt >= STALE_MS || stream.peerEnded) return this.#hold(write, frames);
      this.#wroteAt = now;
      write(frames);
    };
    this.outbox = new Outbox(limits, writeWhenFresh, cipher);
    const decoder = new ZmtpFrameDecoder(new Batch(), maxMessage, (batch) => this.#receive(batch));
    this.#decoder = this.#outer = decoder;
    if (cipher === undefined) return;
    const take = (frames: Uint8Array) => decoder.push(frames);
    this.#outer = new ZmtpFrameDecoder(
      new Batch(),
      maxMessage + cipher.overhead,
      (batch) => cipher.open(batch, take),
    );
  }

  /** The peer's address, in the form of an endpoint. */
  get remote(): string {
    return this.#stream.remote;
  }

  /** Takes over the stream from the handshake, with the bytes (and possibly the end) that arrived after it. */
  start(): void {
    const leftover = this.#release();
    const ended = this.#hasEnded();
    this.#stream.attach(this);
    if (leftover.length > 0) this.onData(leftover);
    if (ended) return this.onEnd();
    this.#heartbeat.start();
    this.closed.then(() => {
      this.#closed = true;
      this.#heartbeat.stop();
    });
    // Resume last: a paused stream may deliver data at once, and that data follows the leftover.
    this.#stream.resume();
  }

  /** Increases whenever the operating system accepts bytes for the peer. */
  get progress(): number {
    return this.#drains + this.#stream.taken / 2 ** 32;
  }

  /** Whether a connection that ended with `error` has carried data. After a reset, written data may not have arrived. */
  wasUseful(error: Error | undefined): boolean {
    return !this.#refused && (this.#received || this.#drains > 0 && error === undefined);
  }

  /**
   * Whether the first thing that the peer sent was the reason why it ends the connection. It has ignored all messages then,
   * `outbox.written` included.
   */
  get refused(): boolean {
    return this.#refused;
  }

  /** Tells the peer the reason in an ERROR command, and closes the connection. Works before `start`, too. */
  refuse(cause: Error): void {
    if (this.#refusal !== undefined) return;
    if (this.peer.version === "2.0" || this.peer.version === "none") return this.close(cause);
    this.#refusal = cause;
    this.#stream.attach(this);
    this.#sendCommand(encodeError(cause.message[0]!.toLowerCase() + cause.message.slice(1)));
    // Closing with unread input would reset the connection, and the peer could not read the reason.
    this.end();
    const timer = setTimeout(() => this.close(cause), FAREWELL_MS);
    this.closed.then(() => clearTimeout(timer));
  }

  /** Stops reading, which applies backpressure to the peer. */
  pause(): void {
    this.#heartbeat.pause();
    this.#stream.pause();
  }

  /** Continues to read. */
  resume(): void {
    this.#heartbeat.resume();
    this.#stream.resume();
  }

  /**
   * Sends subscriptions or cancellations: as commands since ZMTP 3.1, as messages before (RFC 37, 2.7; RFC 23). All
   * topics go in one write, so that a publisher does not start to send after only the first of them.
   */
  sendSubscriptions(topics: Iterable<Uint8Array>, subscribe: boolean): void {
    for (const topic of topics) {
      this.outbox.appendEncoded(encodeSubscription(topic, subscribe, this.peer.version), 0);
    }
    this.#flushCommands();
  }

  /** Sends JOIN or LEAVE commands (RFC 48). */
  sendGroups(groups: Iterable<Uint8Array>, join: boolean): void {
    for (const group of groups) this.outbox.appendEncoded(encodeGroup(group, join), 0);
    this.#flushCommands();
  }

  /** Ends our half when the outbox is empty. The connection closes when the peer has read everything and ends, too. */
  end(): void {
    this.#ending = true;
    // Keep reading to see the peer's end. Messages that still arrive are discarded.
    this.#stream.resume();
    if (this.outbox.empty) this.#endHalf();
  }

  #endHalf(): void {
    this.#ended = true;
    this.#stream.end();
  }

  /** Closes the connection at once. */
  close(cause?: Error): void {
    this.#stream.close(cause);
  }

  /** Returns the messages that were not written completely. Call it after the connection has closed. */
  reclaim(): Batch {
    return this.outbox.reclaim(this.#held || this.#refused ? 0 : this.#stream.taken);
  }

  onData(chunk: Uint8Array): void {
    if (this.#refusal !== undefined) return;
    this.#heartbeat.heard();
    try {
      this.#outer.push(chunk);
    } catch (error) {
      this.close(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  /** Where the next bytes of a large message belong. */
  space(): Uint8Array | undefined {
    return this.#refusal === undefined ? this.#outer.space : undefined;
  }

  onEnd(): void {
    if (this.#refusal !== undefined) return this.close(this.#refusal);
    this.close(
      this.#outer.idle && this.#decoder.idle
        ? undefined
        : new UnreachableError("The peer closed the connection in the middle of a message"),
    );
  }

  onDrain(): void {
    this.#drains++;
    this.#heartbeat.sent();
    this.outbox.onDrain();
    if (this.outbox.empty && this.#ending) this.#endHalf();
    this.#owner.onWritable(this);
  }

  /**
   * Writes commands. If a peer does not read and too many commands have queued up, the connection is closed: a new
   * connection sends all current subscriptions again.
   */
  #flushCommands(): void {
    this.outbox.flush();
    if (this.outbox.overfull) {
      this.close(new UnreachableError("The peer does not read our subscriptions"));
    }
  }

  /**
   * Writes after the runtime has looked at its sockets. The operating system accepts bytes for a peer that has closed the
   * connection, and discards them later; so a write must not begin while the end of the peer waits to be read.
   */
  #hold(write: (frames: Uint8Array) => void, frames: Uint8Array): void {
    this.#held = true;
    let turns = STALE_TURNS;
    const proceed = () => {
      if (this.#closed) return;
      if (--turns > 0) return void setTimeout(proceed, 1);
      if (this.#stream.peerEnded) return this.onEnd(); // Reading is paused.
      this.#held = false;
      this.#wroteAt = performance.now();
      write(frames);
    };
    setTimeout(proceed, 1);
  }

  #writeSealed(cipher: Cipher, frames: Uint8Array): void {
    let sealed: Uint8Array;
    try {
      sealed = cipher.seal(frames);
    } catch (error) {
      return this.close(error as Error);
    }
    this.#stream.write(sealed);
  }

  #receive(batch: Batch): void {
    if (batch.commands > 0) this.#takeCommands(batch);
    this.#received = true;
    if (batch.messages > 0 && !this.#ending) this.#owner.onBatch(this, batch);
  }

  /** Removes the commands from a batch and handles them. */
  #takeCommands(batch: Batch): void {
    const { starts, ends, flags, frames } = batch;
    const commands: Uint8Array[] = [];
    // The peer sent these frames before an ERROR in the same batch.
    if (flags[0] !== COMMAND) this.#received = true;
    batch.clear();
    for (let i = 0; i < frames; i++) {
      if (flags[i] === COMMAND) commands.push(batch.bytes.subarray(starts[i], ends[i]));
      else batch.add(starts[i]!, ends[i]!, flags[i]!);
    }
    for (const body of commands) this.#onCommand(body);
  }

  #onCommand(body: Uint8Array): void {
    const { name, data } = parseCommand(body);
    if (name !== "ERROR") this.#received = true;
    switch (name) {
      case "PING": // A peer that sends PINGs and never reads gets no PONG once the outbox is full.
        this.#heartbeat.promise(pingTtl(data));
        return this.outbox.room > 0 ? this.#sendCommand(encodePong(data)) : undefined;
      case "SUBSCRIBE":
        return this.#owner.onSubscription(this, data, true);
      case "CANCEL":
        return this.#owner.onSubscription(this, data, false);
      case "JOIN":
        return this.#owner.onGroup(this, data, true);
      case "LEAVE":
        return this.#owner.onGroup(this, data, false);
      case "ERROR":
        this.#refused = !this.#received;
        return this.close(new ProtocolError(`The peer ended the connection: ${parseError(data)}`));
      default: // A PONG needs no answer. Unknown commands are ignored, as in libzmq.
    }
  }

  #sendCommand(frame: Uint8Array): void {
    if (this.#ending) return; // Our half may have ended already.
    this.outbox.appendEncoded(frame, 0);
    this.outbox.flush();
  }
}
