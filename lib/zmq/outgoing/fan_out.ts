import { LimitError } from "../../errors.ts";
import type { Batch } from "../../zmtp/batch.ts";
import { Lease } from "../../zmtp/buffers.ts";
import { EMPTY, keyOf } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { encodeBatch, encodedBound } from "../../zmtp/frame_encoder.ts";
import type { SocketEvent } from "../events.ts";
import type { Peer } from "../peer.ts";
import { RunBuffers } from "./run_buffers.ts";
import { TopicTree } from "./topic_tree.ts";

/** Limits for the subscriptions of one peer. */
const MAX_SUBSCRIPTIONS = 100_000;
const MAX_TOPIC_BYTES = 16 * 2 ** 20;
/** Limits for the subscriptions of all peers of a socket. A subscription needs up to 1 KB of memory. */
const MAX_ALL_SUBSCRIPTIONS = 500_000;
const MAX_ALL_TOPIC_BYTES = 64 * 2 ** 20;
/** An encoded run of at least this length is not copied for each subscriber, in bytes. */
const SHARED = 2 * 1024;
/** How long no send waits for a subscriber that has stalled, in milliseconds. */
const STALLED_MS = 10_000;

/** Options of the sockets that publish, for subscribers whose queue is full. */
export interface FanOutOptions {
  /**
   * What to do with a message for a subscriber whose queue is at the high-water mark: `drop` drops and counts it, as
   * libzmq does; `block` makes the publisher wait. Default: `drop`.
   */
  readonly onFull?: "drop" | "block";
  /**
   * With `drop`: how long to wait for a subscriber whose queue is full before its messages are dropped, in milliseconds.
   * A subscriber that reads then loses nothing to a fast publisher; a subscriber that has stalled delays the publisher
   * once. Default: 0, as in libzmq.
   */
  readonly dropAfter?: number;
  /**
   * The largest number of subscriptions of all peers together. A peer that exceeds it is disconnected with the reason.
   * Default: 500 000. The topics have at most 64 MiB in all, and one peer has at most 100 000 subscriptions.
   */
  readonly maxSubscriptions?: number | undefined;
}

interface Subscriber {
  readonly connection: ZmtpConnection;
  /** Whether it receives every message, as it cannot send subscriptions. */
  readonly everything: boolean;
  readonly topics: Map<string, Uint8Array>;
  topicBytes: number;
  /** How many messages its queue has room for in the current call. */
  room: number;
  /** The end of the last message that it was offered, as a frame index: two of its topics may match one message. */
  offered: number;
  /** The frames to append for it: a run of whole messages. */
  runFrom: number;
  runTo: number;
  /** Whether the last message for it was dropped. */
  dropping: boolean;
  /** The time since which its queue is full without progress; 0 when it has room. */
  fullSince: number;
  /** The progress of its connection at the last check. */
  progress: number;
  /** The time until which no send waits for it. */
  stalledUntil: number;
}

/** What a subscription or a cancellation changed. */
export type SubscriptionChange =
  /** Nothing: the peer has the topic already, does not have it, or has too many. */
  | "none"
  /** The topics of the peer; other peers have the topic, too. */
  | "one"
  /** The topics of all peers: this peer is the first with the topic, or was the last. */
  | "topic";

/** Keeps the subscriptions of all peers and sends each message to every peer that subscribed to it: PUB, XPUB, RADIO. */
export class FanOut {
  readonly #subscribers = new Map<Peer, Subscriber>();
  readonly #tree = new TopicTree<Subscriber>();
  readonly #onFull: "drop" | "block";
  readonly #dropAfter: number;
  readonly #onEvent: (event: SocketEvent) => void;
  readonly #exact: boolean;
  readonly #maxSubscriptions: number;
  /** The number of subscriptions of all peers, and the length of their topics in bytes. */
  #subscriptions = 0;
  #topicBytes = 0;
  #batch: Batch | undefined;
  #from = 0;
  #to = 0;
  #dropped = 0;
  /** How many subscriptions are to every message. */
  #catchAlls = 0;
  /** The last run that was encoded in the current call. */
  readonly #run = { from: 0, to: 0, frames: EMPTY as Uint8Array, lease: undefined as Lease | undefined };
  readonly #buffers = new RunBuffers();
  /** The endpoints of subscribers that have begun to miss messages, which is not reported yet. */
  #unreported: string[] = [];

  /** @param exact whether a topic matches only an equal first frame (RFC 48), and not every first frame that begins with it */
  constructor(options: FanOutOptions, onEvent: (event: SocketEvent) => void, exact = false) {
    this.#onFull = options.onFull ?? "drop";
    this.#dropAfter = options.dropAfter ?? 0;
    this.#onEvent = onEvent;
    this.#exact = exact;
    this.#maxSubscriptions = options.maxSubscriptions ?? MAX_ALL_SUBSCRIPTIONS;
  }

  /** The number of peers that have a subscription. */
  get subscribers(): number {
    let count = 0;
    for (const { topics } of this.#subscribers.values()) if (topics.size > 0) count++;
    return count;
  }

  /** The number of dropped messages, counted once for each subscriber. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The longest wait for room before `send` must be tried again, in milliseconds: no event marks a stalled subscriber. */
  get longestWait(): number {
    return this.#onFull === "drop" && this.#dropAfter > 0 ? this.#dropAfter / 4 : Infinity;
  }

  /**
   * Adds a peer.
   *
   * @param everything whether the peer receives every message, as it cannot send subscriptions
   */
  add(connection: ZmtpConnection, everything = false): void {
    this.#subscribers.set(connection, {
      connection,
      everything,
      topics: new Map(),
      topicBytes: 0,
      room: 0,
      offered: 0,
      runFrom: 0,
      runTo: 0,
      dropping: false,
      fullSince: 0,
      progress: 0,
      stalledUntil: 0,
    });
    if (everything) this.subscribe(connection, EMPTY, true);
  }

  /**
   * Removes a peer and its subscriptions.
   *
   * @param onLast called with each topic that no other peer has
   */
  remove(connection: ZmtpConnection, onLast: (topic: Uint8Array) => void = () => {}): void {
    const subscriber = this.#subscribers.get(connection);
    if (subscriber === undefined) return;
    this.#subscribers.delete(connection);
    this.#subscriptions -= subscriber.topics.size;
    this.#topicBytes -= subscriber.topicBytes;
    for (const topic of subscriber.topics.values()) {
      if (topic.length === 0) this.#catchAlls--;
      if (this.#tree.remove(topic, subscriber) === 0) onLast(topic);
    }
  }

  /** Adds or removes a subscription. A peer with too many subscriptions is disconnected. `topic` is copied. */
  subscribe(from: Peer, topic: Uint8Array, subscribe: boolean): SubscriptionChange {
    const subscriber = this.#subscribers.get(from);
    if (subscriber === undefined) return "none";
    const key = keyOf(topic);
    // A set, not a count: a peer may subscribe several times and cancel once (RFC 37, 2.7).
    if (!subscribe) {
      if (!subscriber.topics.delete(key)) return "none";
      subscriber.topicBytes -= topic.length;
      this.#topicBytes -= topic.length;
      this.#subscriptions--;
      if (topic.length === 0) this.#catchAlls--;
      return this.#tree.remove(topic, subscriber) === 0 ? "topic" : "one";
    }
    if (subscriber.topics.has(key)) return "none";
    const excess = this.#excess(subscriber, topic.length);
    if (excess !== undefined) {
      subscriber.connection.refuse(new LimitError(`Disconnecting the peer as ${excess}`));
      return "none";
    }
    subscriber.topicBytes += topic.length;
    this.#topicBytes += topic.length;
    this.#subscriptions++;
    if (topic.length === 0) this.#catchAlls++;
    const own = topic.slice();
    subscriber.topics.set(key, own);
    return this.#tree.add(own, subscriber) === 1 ? "topic" : "one";
  }

  /** The limit that one more subscription would exceed, as a clause. */
  #excess({ topics, topicBytes }: Subscriber, length: number): string | undefined {
    if (topics.size >= MAX_SUBSCRIPTIONS || topicBytes + length > MAX_TOPIC_BYTES) {
      return `it has more than ${MAX_SUBSCRIPTIONS} subscriptions, or ${MAX_TOPIC_BYTES} bytes of topics`;
    }
    if (this.#subscriptions < this.#maxSubscriptions && this.#topicBytes + length <= MAX_ALL_TOPIC_BYTES) {
      return undefined;
    }
    return `all peers together have more than ${this.#maxSubscriptions} subscriptions, or ${MAX_ALL_TOPIC_BYTES} bytes of topics`;
  }

  /** Queues the messages that there is room for, up to frame `to`; see `Sender.sendBatch`. */
  send(batch: Batch, from: number, to: number = batch.frames): number {
    const left = this.#roomForAll();
    this.#batch = batch;
    this.#run.to = 0;
    from = this.#subscriptions === this.#catchAlls && !this.#exact
      ? this.#offerToAll(batch, from, to, left)
      : this.#offerEach(batch, from, to, left);
    for (const subscriber of this.#subscribers.values()) {
      this.#endRun(subscriber, batch);
      subscriber.connection.outbox.flush();
    }
    this.#run.lease?.release();
    this.#run.lease = undefined;
    // Not before all is queued: the handler of the events may send, too.
    if (this.#unreported.length > 0) this.#report();
    return from;
  }

  /** Offers up to `left` messages to every subscriber: all subscribe to everything. Returns the next frame. */
  #offerToAll(batch: Batch, from: number, to: number, left: number): number {
    const end = Math.min(to, batch.skipMessages(from, left));
    const count = batch.countMessages(from, end);
    if (count === 0) return from;
    for (const subscriber of this.#subscribers.values()) {
      if (subscriber.topics.size === 0) continue;
      const taken = Math.min(count, subscriber.room);
      if (taken > 0) {
        subscriber.dropping = false;
        subscriber.runFrom = from;
        subscriber.runTo = taken === count ? end : batch.skipMessages(from, taken);
      }
      if (taken < count) this.#drop(subscriber, count - taken);
    }
    return end;
  }

  /** Offers up to `left` messages to the subscribers of their topics. Returns the next frame. */
  #offerEach(batch: Batch, from: number, to: number, left: number): number {
    const { starts, ends, bytes } = batch;
    while (from < to && left-- > 0) {
      this.#from = from;
      this.#to = batch.messageEnd(from);
      this.#tree.match(bytes, starts[from]!, ends[from]!, this.#deliver);
      from = this.#to;
    }
    return from;
  }

  /** Sends the frames `[from, to)` to one peer, whatever its subscriptions are. */
  sendTo(peer: Peer, batch: Batch, from: number, to: number): void {
    const connection = this.#offerTo(peer);
    connection?.outbox.appendBatch(batch, from, to);
    connection?.outbox.flush();
  }

  /** Whether `sendTo` would send to a peer. If the queue of the peer is full, a dropped message is counted. */
  offerTo(peer: Peer): boolean {
    return this.#offerTo(peer) !== undefined;
  }

  #offerTo(peer: Peer): ZmtpConnection | undefined {
    const subscriber = this.#subscribers.get(peer);
    if (subscriber === undefined) return undefined;
    if (subscriber.connection.outbox.room > 0) return subscriber.connection;
    this.#drop(subscriber);
    this.#report();
    return undefined;
  }

  /** Whether a peer subscribed to the message that begins at frame `from`. */
  matches(connection: ZmtpConnection, batch: Batch, from: number): boolean {
    let found = false;
    this.#tree.match(batch.bytes, batch.starts[from]!, batch.ends[from]!, (subscriber, rest) => {
      found ||= subscriber.connection === connection && this.#isFor(subscriber, rest);
    });
    return found;
  }

  /** Whether a message is for a subscriber; its first frame is a topic of the subscriber and `rest` more bytes. */
  #isFor({ everything }: Subscriber, rest: number): boolean {
    return !this.#exact || rest === 0 || everything;
  }

  /** Stores the room of every subscriber. Returns how many messages may be sent before a subscriber that we wait for is full. */
  #roomForAll(): number {
    let least = Infinity;
    const now = performance.now();
    for (const subscriber of this.#subscribers.values()) {
      subscriber.room = subscriber.connection.outbox.room;
      subscriber.offered = subscriber.runFrom = subscriber.runTo = 0;
      if (subscriber.topics.size > 0 && this.#awaits(subscriber, now)) {
        least = Math.min(least, subscriber.room);
      }
    }
    return least;
  }

  #awaits(subscriber: Subscriber, now: number): boolean {
    if (this.#onFull === "block") return true;
    if (this.#dropAfter === 0 || now < subscriber.stalledUntil) return false;
    const { progress } = subscriber.connection;
    if (subscriber.room > 0) subscriber.fullSince = 0;
    else if (subscriber.fullSince === 0 || progress !== subscriber.progress) subscriber.fullSince = now;
    else if (now - subscriber.fullSince >= this.#dropAfter) {
      subscriber.stalledUntil = now + STALLED_MS;
      subscriber.fullSince = 0;
      return false;
    }
    subscriber.progress = progress;
    return true;
  }

  readonly #deliver = (subscriber: Subscriber, rest: number): void => {
    if (subscriber.offered === this.#to || !this.#isFor(subscriber, rest)) return;
    subscriber.offered = this.#to;
    if (subscriber.room === 0) return this.#drop(subscriber);
    subscriber.dropping = false;
    if (subscriber.runTo !== this.#from) this.#endRun(subscriber, this.#batch!);
    if (subscriber.runTo === 0) subscriber.runFrom = this.#from;
    subscriber.runTo = this.#to;
    subscriber.room--;
  };

  #drop(subscriber: Subscriber, count = 1): void {
    this.#dropped += count;
    if (!subscriber.dropping) this.#unreported.push(subscriber.connection.remote);
    subscriber.dropping = true;
  }

  #report(): void {
    const endpoints = this.#unreported;
    this.#unreported = [];
    for (const endpoint of endpoints) this.#onEvent({ type: "dropping", endpoint });
  }

  #endRun(subscriber: Subscriber, batch: Batch): void {
    const { runFrom, runTo, connection } = subscriber;
    subscriber.runFrom = subscriber.runTo = 0;
    if (runTo === 0) return;
    // A single subscriber needs no shared copy, and large bodies that do not change can be sent without a copy.
    if (this.#subscribers.size === 1 || batch.stable || connection.outbox.conflates) {
      return connection.outbox.appendBatch(batch, runFrom, runTo);
    }
    this.#encode(batch, runFrom, runTo);
    const { frames, lease } = this.#run;
    const messages = batch.countMessages(runFrom, runTo);
    if (lease === undefined) connection.outbox.appendEncoded(frames, messages);
    else connection.outbox.appendShared(frames, messages, lease);
  }

  /** Encodes a run; all subscribers with the same run share the frames. */
  #encode(batch: Batch, from: number, to: number): void {
    const run = this.#run;
    if (run.from === from && run.to === to) return;
    run.lease?.release();
    run.lease = undefined;
    run.from = from;
    run.to = to;
    let buffer = this.#buffers.take(encodedBound(batch, from, to));
    run.frames = buffer.subarray(0, encodeBatch(batch, from, to, buffer, 0));
    const { length } = run.frames;
    // A short run is copied, so that several of them become one write.
    if (length < SHARED) return this.#buffers.give(buffer);
    // The bound is high for messages that others lay between, and a slow subscriber keeps the buffer: take a smaller one.
    if (length * 4 < buffer.length) {
      const smaller = this.#buffers.take(length);
      smaller.set(run.frames);
      run.frames = smaller.subarray(0, length);
      this.#buffers.give(buffer);
      buffer = smaller;
    }
    run.lease = new Lease(buffer, this.#buffers);
  }
}
