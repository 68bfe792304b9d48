import { messageOf, ProtocolError, UnreachableError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import { Batch, COMMAND } from "./batch.ts";
import {
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

/** What a connection tells the socket that owns it. */
export interface ConnectionOwner {
  /** Whole messages came; `batch` and its bytes are valid during the call, in which they may be changed. */
  onBatch(from: ZmtpConnection, batch: Batch): void;
  /** The peer subscribed to `topic`, or cancelled that (RFC 37, 2.7). `topic` is a view. */
  onSubscription(from: ZmtpConnection, topic: Uint8Array, subscribe: boolean): void;
  /** The peer joined a group, or left it (RFC 48). `group` is a view. */
  onGroup(from: ZmtpConnection, group: Uint8Array, join: boolean): void;
  /** Something was taken by the system, so there is room again. */
  onWritable(connection: ZmtpConnection): void;
}

/** A running connection to one peer: the handshake is done, and there is no half-open state. */
export class ZmtpConnection implements StreamSink {
  readonly peer: PeerInfo;
  readonly outbox: Outbox;
  /** Resolves to the cause when the connection is over. It never rejects. */
  readonly closed: Promise<Error | undefined>;

  readonly #stream: ByteStream;
  readonly #owner: ConnectionOwner;
  /** Takes plain frames. */
  readonly #decoder: ZmtpFrameDecoder;
  /** Takes what the stream brings: the same, or the frames around the encrypted ones. */
  readonly #outer: ZmtpFrameDecoder;
  readonly #release: () => Uint8Array;
  readonly #hasEnded: () => boolean;
  readonly #heartbeat: Heartbeat;
  #ending = false;
  /** How many writes are done. */
  #drains = 0;
  /** Whether anything came. */
  #received = false;

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
    // A 2.0 peer knows no commands (RFC 15).
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
    this.outbox = new Outbox(limits, write, cipher);
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

  /** Takes over the stream, with what came behind the handshake, be it the end. */
  start(): void {
    const leftover = this.#release();
    const ended = this.#hasEnded();
    this.#stream.attach(this);
    if (leftover.length > 0) this.onData(leftover);
    if (ended) return this.onEnd();
    this.#heartbeat.start();
    this.closed.then(() => this.#heartbeat.stop());
    // Only now: a stream that was paused may hold what came behind the leftover, and give it at once.
    this.#stream.resume();
  }

  /** Grows whenever the system takes something that is for the peer. */
  get progress(): number {
    return this.#drains + this.#stream.taken / 2 ** 32;
  }

  /** Whether a connection that ended with `error` has carried anything: what was reset may not have arrived. */
  wasUseful(error: Error | undefined): boolean {
    return this.#received || this.#drains > 0 && error === undefined;
  }

  /** Stops reading, so that the peer is held back. */
  pause(): void {
    this.#heartbeat.pause();
    this.#stream.pause();
  }

  resume(): void {
    this.#heartbeat.resume();
    this.#stream.resume();
  }

  /**
   * Subscribes at the peer, or cancels: with commands since ZMTP 3.1, with messages before (RFC 37, 2.7; RFC 23). All
   * topics go in one write, so that a publisher does not begin after the first of them.
   */
  sendSubscriptions(topics: Iterable<Uint8Array>, subscribe: boolean): void {
    for (const topic of topics) {
      this.outbox.appendEncoded(encodeSubscription(topic, subscribe, this.peer.version), 0);
    }
    this.#flushCommands();
  }

  /** Joins groups at the peer, or leaves them (RFC 48). */
  sendGroups(groups: Iterable<Uint8Array>, join: boolean): void {
    for (const group of groups) this.outbox.appendEncoded(encodeGroup(group, join), 0);
    this.#flushCommands();
  }

  /** Ends our half once the outbox is empty; the connection closes when the peer has read it all. */
  end(): void {
    this.#ending = true;
    // The peer's end must be seen; what it still sends has no taker.
    this.#stream.resume();
    if (this.outbox.empty) this.#stream.end();
  }

  close(cause?: Error): void {
    this.#stream.close(cause);
  }

  /** The messages that were not handed to the system whole; call it once the connection is closed. */
  reclaim(): Batch {
    return this.outbox.reclaim(this.#stream.taken);
  }

  onData(chunk: Uint8Array): void {
    this.#heartbeat.heard();
    try {
      this.#outer.push(chunk);
    } catch (error) {
      this.close(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  onEnd(): void {
    this.close(
      this.#outer.idle && this.#decoder.idle
        ? undefined
        : new UnreachableError("The peer went away in the middle of a message"),
    );
  }

  onDrain(): void {
    this.#drains++;
    this.outbox.onDrain();
    if (this.outbox.empty && this.#ending) this.#stream.end();
    this.#owner.onWritable(this);
  }

  /** A publisher that reads nothing while we change our mind again and again is left; a new connection is told all. */
  #flushCommands(): void {
    this.outbox.flush();
    if (this.outbox.overfull) {
      this.close(new UnreachableError("The peer does not read what it is told of subscriptions"));
    }
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
    this.#received = true;
    if (batch.commands > 0) this.#takeCommands(batch);
    if (batch.messages > 0 && !this.#ending) this.#owner.onBatch(this, batch);
  }

  /** Handles the commands in a batch and leaves the messages. */
  #takeCommands(batch: Batch): void {
    const { starts, ends, flags, frames } = batch;
    const commands: Uint8Array[] = [];
    batch.clear();
    for (let i = 0; i < frames; i++) {
      if (flags[i] === COMMAND) commands.push(batch.bytes.subarray(starts[i], ends[i]));
      else batch.add(starts[i]!, ends[i]!, flags[i]!);
    }
    for (const body of commands) this.#onCommand(body);
  }

  #onCommand(body: Uint8Array): void {
    const { name, data } = parseCommand(body);
    switch (name) {
      case "PING": // A peer that asks and never reads gets no more answers than the outbox may hold.
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
        return this.close(new ProtocolError(`The peer ended the connection: ${parseError(data)}`));
      default: // A PONG needs no answer; what is unknown is ignored, as libzmq does.
    }
  }

  #sendCommand(frame: Uint8Array): void {
    if (this.#ending) return; // Our half may have ended.
    this.outbox.appendEncoded(frame, 0);
    this.outbox.flush();
  }
}
