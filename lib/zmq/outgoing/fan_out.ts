import { LimitError } from "../../errors.ts";
import type { Batch } from "../../zmtp/batch.ts";
import { EMPTY, keyOf } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { encodeBatch, encodedBound } from "../../zmtp/frame_encoder.ts";
import type { SocketEvent } from "../events.ts";
import { TopicTree } from "./topic_tree.ts";

/** What one subscriber may make us remember. */
const MAX_SUBSCRIPTIONS = 100_000;
const MAX_TOPIC_BYTES = 16 * 2 ** 20;
/** A subscriber that was given up on is not waited for again for so long, in milliseconds. */
const STALLED_MS = 10_000;

/** What happens to a message for a subscriber whose queue is full. */
export interface FanOutOptions {
  /**
   * What happens to a message for a subscriber whose queue is at the high-water mark: `drop` is ZeroMQ's way, and
   * counts it; `block` makes the publisher wait. `drop` unless told.
   */
  readonly onFull?: "drop" | "block";
  /**
   * With `drop`: how long `sendBatch` first waits for a full subscriber that may still be reading, in milliseconds.
   * A healthy subscriber then loses nothing to a fast publisher, and one that stands still holds it up just once.
   * 0, which is ZeroMQ's way, unless told.
   */
  readonly dropAfter?: number;
}

interface Subscriber {
  readonly connection: ZmtpConnection;
  /** Whether it gets every message, for it cannot say what it wants. */
  readonly everything: boolean;
  readonly topics: Map<string, Uint8Array>;
  topicBytes: number;
  /** Messages that it takes in the current call. */
  room: number;
  /** The message that it was last offered, as the frame behind it: two of its topics may match one message. */
  offered: number;
  /** The frames that are to be appended for it: a run of whole messages. */
  runFrom: number;
  runTo: number;
  /** Whether the last message for it was dropped. */
  dropping: boolean;
  /** Since when it is full and takes nothing; 0 when it has room. */
  fullSince: number;
  /** Its connection's progress when that was looked at last. */
  progress: number;
  /** Until when it is not waited for. */
  stalledUntil: number;
}

/** What a subscription, or its end, changed. */
export type Change =
  /** Nothing: the peer had it already, had it not, or has too many. */
  | "none"
  /** Others have the topic too. */
  | "one"
  /** The peer is the first with this topic, or was the last. */
  | "topic";

/** Sends each message to every peer that wants it, and knows what each of them wants: PUB, XPUB and RADIO. */
export class FanOut {
  readonly #subscribers = new Map<ZmtpConnection, Subscriber>();
  readonly #tree = new TopicTree<Subscriber>();
  readonly #onFull: "drop" | "block";
  readonly #dropAfter: number;
  readonly #onEvent: (event: SocketEvent) => void;
  readonly #exact: boolean;
  #batch: Batch | undefined;
  #from = 0;
  #to = 0;
  #dropped = 0;
  /** The run that was encoded last in the current call. */
  readonly #run = { from: 0, to: 0, buffer: EMPTY, encoded: EMPTY };

  /** @param exact whether a topic is the whole first frame of what matches (RFC 48), and not the beginning of it */
  constructor(options: FanOutOptions, onEvent: (event: SocketEvent) => void, exact = false) {
    this.#onFull = options.onFull ?? "drop";
    this.#dropAfter = options.dropAfter ?? 0;
    this.#onEvent = onEvent;
    this.#exact = exact;
  }

  /** How many peers have a subscription. */
  get subscribers(): number {
    let count = 0;
    for (const { topics } of this.#subscribers.values()) if (topics.size > 0) count++;
    return count;
  }

  /** How many messages were dropped, each counted for every subscriber that missed it. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The longest that a wait for room may take, in milliseconds: no signal tells when our patience with a peer ends. */
  get patience(): number {
    return this.#onFull === "drop" && this.#dropAfter > 0 ? this.#dropAfter / 4 : Infinity;
  }

  /** @param everything whether the peer gets every message, for it cannot say what it wants */
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
   * Forgets a peer that is gone, and its subscriptions.
   *
   * @param onLast told each topic that nobody else has
   */
  remove(connection: ZmtpConnection, onLast: (topic: Uint8Array) => void = () => {}): void {
    const subscriber = this.#subscribers.get(connection);
    if (subscriber === undefined) return;
    this.#subscribers.delete(connection);
    for (const topic of subscriber.topics.values()) {
      if (this.#tree.remove(topic, subscriber) === 0) onLast(topic);
    }
  }

  /** Notes a subscription, or its end. A peer that wants too much is closed. `topic` is copied. */
  subscribe(from: ZmtpConnection, topic: Uint8Array, subscribe: boolean): Change {
    const subscriber = this.#subscribers.get(from);
    if (subscriber === undefined) return "none";
    const key = keyOf(topic);
    // A set, not a count: a peer may subscribe often and cancel once (RFC 37, 2.7).
    if (!subscribe) {
      if (!subscriber.topics.delete(key)) return "none";
      subscriber.topicBytes -= topic.length;
      return this.#tree.remove(topic, subscriber) === 0 ? "topic" : "one";
    }
    if (subscriber.topics.has(key)) return "none";
    subscriber.topicBytes += topic.length;
    if (subscriber.topics.size >= MAX_SUBSCRIPTIONS || subscriber.topicBytes > MAX_TOPIC_BYTES) {
      from.close(
        new LimitError(
          `The peer has more than ${MAX_SUBSCRIPTIONS} subscriptions, or ${MAX_TOPIC_BYTES} bytes of topics`,
        ),
      );
      return "none";
    }
    const own = topic.slice();
    subscriber.topics.set(key, own);
    return this.#tree.add(own, subscriber) === 1 ? "topic" : "one";
  }

  /** Sends what there is room for, up to frame `to`; see `Sender.sendBatch`. */
  send(batch: Batch, from: number, to: number = batch.frames): number {
    let left = this.#roomForAll();
    this.#batch = batch;
    this.#run.to = 0;
    const { starts, ends, bytes } = batch;
    while (from < to && left-- > 0) {
      this.#from = from;
      this.#to = batch.messageEnd(from);
      this.#tree.match(bytes, starts[from]!, ends[from]!, this.#deliver);
      from = this.#to;
    }
    for (const subscriber of this.#subscribers.values()) {
      this.#endRun(subscriber, batch);
      subscriber.connection.outbox.flush();
    }
    return from;
  }

  /** Sends the frames `[from, to)` to one peer, whatever it subscribed to. */
  sendTo(connection: ZmtpConnection, batch: Batch, from: number, to: number): void {
    if (!this.offerTo(connection)) return;
    connection.outbox.appendBatch(batch, from, to);
    connection.outbox.flush();
  }

  /** Whether `sendTo` would send to a peer. For one whose queue is full a drop is counted. */
  offerTo(connection: ZmtpConnection): boolean {
    const subscriber = this.#subscribers.get(connection);
    if (subscriber === undefined) return false;
    if (connection.outbox.room > 0) return true;
    this.#drop(subscriber);
    return false;
  }

  /** Whether a peer wants the message that begins at frame `from`. */
  wants(connection: ZmtpConnection, batch: Batch, from: number): boolean {
    let wanted = false;
    this.#tree.match(batch.bytes, batch.starts[from]!, batch.ends[from]!, (subscriber, behind) => {
      wanted ||= subscriber.connection === connection && this.#isFor(subscriber, behind);
    });
    return wanted;
  }

  /** Whether a topic that a message begins with, and that has `behind` bytes behind it there, is enough. */
  #isFor({ everything }: Subscriber, behind: number): boolean {
    return !this.#exact || behind === 0 || everything;
  }

  /** Notes every subscriber's room, and returns how many messages may go before one that we wait for is full. */
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

  readonly #deliver = (subscriber: Subscriber, behind: number): void => {
    if (subscriber.offered === this.#to || !this.#isFor(subscriber, behind)) return;
    subscriber.offered = this.#to;
    if (subscriber.room === 0) return this.#drop(subscriber);
    subscriber.dropping = false;
    if (subscriber.runTo !== this.#from) this.#endRun(subscriber, this.#batch!);
    if (subscriber.runTo === 0) subscriber.runFrom = this.#from;
    subscriber.runTo = this.#to;
    subscriber.room--;
  };

  #drop(subscriber: Subscriber): void {
    this.#dropped++;
    if (!subscriber.dropping) {
      this.#onEvent({ type: "dropping", endpoint: subscriber.connection.remote });
    }
    subscriber.dropping = true;
  }

  #endRun(subscriber: Subscriber, batch: Batch): void {
    const { runFrom, runTo, connection } = subscriber;
    subscriber.runFrom = subscriber.runTo = 0;
    if (runTo === 0) return;
    // One subscriber needs no copy between, and large bodies that stay as they are can be referred to.
    if (this.#subscribers.size === 1 || batch.stable || connection.outbox.conflates) {
      return connection.outbox.appendBatch(batch, runFrom, runTo);
    }
    connection.outbox.appendEncoded(this.#encode(batch, runFrom, runTo), batch.countMessages(runFrom, runTo));
  }

  /** A run's frames, encoded once for all subscribers that get the same run. */
  #encode(batch: Batch, from: number, to: number): Uint8Array {
    const run = this.#run;
    if (run.from === from && run.to === to) return run.encoded;
    const bound = encodedBound(batch, from, to);
    if (run.buffer.length < bound) run.buffer = new Uint8Array(bound);
    run.from = from;
    run.to = to;
    return run.encoded = run.buffer.subarray(0, encodeBatch(batch, from, to, run.buffer, 0));
  }
}
