import { clearTimeout, setTimeout } from "node:timers";
import { decodeProperties, encodeProperties } from "../amqp/properties.ts";
import { PROPERTY, PropertyScan } from "../amqp/property_scan.ts";
import { MAX_TIMER, type Signal } from "../transport/waiting.ts";
import type { Bodies, Delivery, Envelope } from "./contract.ts";
import { Correlation } from "./correlation.ts";

/** The maximum number of replies that wait for the reply to an earlier request. */
const MAX_HELD = 1000;
/** The maximum size of unanswered requests and waiting replies, in bytes; the last one may exceed it. */
const MAX_BYTES = 32 * 2 ** 20;
/** A buffer for requests that is larger than this is released with the reply, in bytes. */
const KEEP = 64 * 1024;

/** One connection of a requester: requests go out on it, and their replies come in. */
export interface RequestPort {
  /** Whether sending should wait until `onWritable`. */
  readonly full: boolean;
  /** Encodes a copy of a request. Its properties hold the correlation id and the address for the reply. */
  send(envelope: Envelope, bytes: Uint8Array, start: number, end: number): void;
  /** Writes the encoded requests. */
  flush(): void;
  /** Stops reading, so that the other side has to wait. */
  pause(): void;
  /** Continues reading. */
  resume(): void;
}

/** The callbacks of a link to its requester. */
export interface RequestEvents {
  /** A connection is set up. */
  onUp(port: RequestPort): void;
  /** The connection is lost; another one follows, or `changed` of the link fires and it has a failure. */
  onDown(): void;
  /** A message arrived at the address for replies; it is valid during the call only. */
  onDelivery(delivery: Delivery): void;
  /** All messages of one received chunk were reported. */
  onBatchEnd(): void;
  /** The output has room again. */
  onWritable(): void;
}

/** The connection of a requester, which is made again when it is lost. It fails when a request cannot be delivered. */
export interface RequestLink {
  /** The address for replies, for the property `reply_to`. */
  readonly replyTo: string;
  /** Connects for the first time. */
  start(): Promise<void>;
  /** Fires when the connection changes, and at a permanent failure. */
  readonly changed: Signal;
  /** The permanent failure. */
  readonly failure: Error | undefined;
  /** The host of the current or last connection, at systems with a broker. */
  readonly broker?: string;
  /** @throws {RangeError | LimitError} a message with this envelope cannot be sent */
  check(envelope: Envelope): void;
  /** Closes the connection. @param limit the time limit for the reply of the other side, in milliseconds */
  close(limit?: number): Promise<void>;
}

/** Options of a requester. */
export interface RequesterOptions {
  /** The maximum number of requests without a reply. Default: 1 */
  readonly jobs?: number | undefined;
  /** How long to wait for each reply, in milliseconds. Default: without a limit */
  readonly timeout?: number | undefined;
  /** Called with each reply, in the order of the requests. The reply is valid during the call only. */
  readonly onReply: (reply: Delivery) => void;
  /** Called in the order of the requests for each one that has no reply within `timeout`. A later reply is ignored. */
  readonly onExpired?: () => void;
  /** Called after the replies of one received chunk, and after requests have expired. */
  readonly onBatchEnd?: () => void;
}

/** A request until it has its reply and all requests before it have theirs. The objects are used again. */
class Slot {
  envelope!: Envelope;
  body: Uint8Array = NOTHING;
  size = 0;
  since = 0;
  answered = false;
  /** The reply, if one to an earlier request is missing. */
  reply: Delivery | undefined;
}

/**
 * Sends requests to a queue, an exchange or a topic, several at a time, and returns their replies in the order of the
 * requests. After a reconnect it sends the requests without a reply again: each is processed at least once.
 */
export class Requester {
  readonly #link: RequestLink;
  readonly #options: RequesterOptions;
  readonly #jobs: number;
  readonly #correlation: Correlation = new Correlation();
  readonly #scan = new PropertyScan();
  #port: RequestPort | undefined;
  /** The request with the number `id` is at `id % length`. */
  #slots: Slot[];
  /** The number of the oldest request without a reply, of the next one to send, and of the next new one. */
  #head = 1;
  #sending = 1;
  #next = 1;
  #unanswered = 0;
  #bytes = 0;
  /** The envelope that was last given, and a model of it with the properties of a request. */
  #given: Envelope | undefined;
  #model!: Envelope;
  /** The position of the correlation id in its properties. */
  #idAt = 0;
  #paused = false;
  /** When reading continued: replies may have waited until then. */
  #resumedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param open makes the link, which starts with `start` */
  constructor(open: (events: RequestEvents) => RequestLink, options: RequesterOptions) {
    this.#options = options;
    this.#jobs = options.jobs ?? 1;
    let size = 1;
    while (size < this.#jobs + MAX_HELD) size *= 2;
    this.#slots = new Array(size);
    this.#link = open({
      onUp: (port) => this.#onUp(port),
      onDown: () => this.#port = undefined,
      onDelivery: (delivery) => this.#onDelivery(delivery),
      onBatchEnd: () => this.#onBatchEnd(),
      onWritable: () => this.#pump(),
    });
  }

  /**
   * Connects for the first time.
   *
   * @throws the errors of the link
   */
  start(): Promise<void> {
    return this.#link.start();
  }

  /** Fires when replies have arrived or requests have expired, when the connection changes, and at a failure. */
  get changed(): Signal {
    return this.#link.changed;
  }

  /** The permanent failure, for example because nothing receives the requests. */
  get failure(): Error | undefined {
    return this.#link.failure;
  }

  /** The host of the current or last connection, at systems with a broker. */
  get broker(): string | undefined {
    return this.#link.broker;
  }

  /** The number of requests without a reply. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Whether another request may be made. */
  get hasRoom(): boolean {
    const held = this.#next - this.#head - this.#unanswered;
    return this.#unanswered < this.#jobs && held < MAX_HELD && this.#bytes < MAX_BYTES;
  }

  /**
   * Sends a copy of body number `at`. Call it only while there is room, and `flush` after the last call.
   *
   * @param envelope where to, and the properties; `reply_to` and `correlation_id` are replaced
   * @throws {RangeError | LimitError} the request cannot be encoded
   */
  request({ bytes, starts, ends }: Bodies, at: number, envelope: Envelope): void {
    if (envelope !== this.#given) this.#prepare(envelope);
    const id = this.#next;
    const slot = this.#slots[id % this.#slots.length] ??= new Slot();
    const size = ends[at]! - starts[at]!;
    if (slot.body.length < size) slot.body = new Uint8Array(size);
    slot.body.set(bytes.subarray(starts[at]!, ends[at]!));
    slot.size = size;
    slot.envelope = this.#envelopeOf(id);
    slot.since = performance.now();
    slot.answered = false;
    this.#next++;
    this.#unanswered++;
    this.#bytes += size;
    this.#arm(slot.since);
  }

  /** Sends the new requests. */
  flush(): void {
    this.#pump();
  }

  /** Stops reading replies, so that the other side has to wait. The time limits are suspended. */
  pause(): void {
    this.#paused = true;
    this.#port?.pause();
  }

  /** Continues reading replies. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#resumedAt = performance.now();
    this.#port?.resume();
    if (this.#unanswered > 0) this.#arm(this.#resumedAt);
  }

  /**
   * Closes the connection. Replies that are missing are lost.
   *
   * @param limit the time limit for the reply of the other side, in milliseconds. Default: that of the system
   */
  close(limit?: number): Promise<void> {
    clearTimeout(this.#timer);
    return this.#link.close(limit);
  }

  /** Adds the properties of a request to an envelope. They are the model for many requests. */
  #prepare(envelope: Envelope): void {
    const correlationId = this.#correlation.first;
    const properties = encodeProperties({
      ...decodeProperties(envelope.properties),
      replyTo: this.#link.replyTo,
      correlationId,
    });
    const made = { ...envelope, properties };
    this.#link.check(made);
    this.#scan.read(properties, 0, properties.length);
    this.#idAt = this.#scan.starts[PROPERTY.correlationId]!;
    this.#model = made;
    this.#given = envelope;
  }

  /** The envelope of one request, which is an object of its own: ports remember how they have encoded it. */
  #envelopeOf(id: number): Envelope {
    const { exchange, routingKey, properties } = this.#model;
    const own = properties.slice();
    this.#correlation.write(id, own, this.#idAt);
    return { exchange, routingKey, properties: own };
  }

  #onUp(port: RequestPort): void {
    this.#port = port;
    if (this.#paused) port.pause();
    // The replies to earlier requests went to an address that no longer exists.
    this.#sending = this.#head;
    this.#pump();
  }

  /** Encodes requests until the output is full. */
  #pump(): void {
    const port = this.#port;
    if (port === undefined) return;
    for (; this.#sending < this.#next && !port.full; this.#sending++) {
      const { envelope, body, size, answered } = this.#slotOf(this.#sending);
      if (answered) continue;
      port.send(envelope, body, 0, size);
    }
    port.flush();
  }

  #slotOf(id: number): Slot {
    return this.#slots[id % this.#slots.length]!;
  }

  #onDelivery(delivery: Delivery): void {
    const id = this.#idOf(delivery);
    if (id < this.#head || id >= this.#next) return; // Not a reply, or one that came too late.
    const slot = this.#slotOf(id);
    if (slot.answered) return; // The request was sent twice.
    this.#settle(slot);
    if (id === this.#head) {
      this.#head++;
      this.#options.onReply(delivery);
      this.#passOn();
    } else {
      slot.reply = copyOf(delivery);
      this.#bytes += sizeOf(slot.reply);
    }
  }

  /** The number of the request that a message replies to; 0 if it is not a reply. */
  #idOf({ content: { properties, propertiesEnd } }: Delivery): number {
    const scan = this.#scan;
    try {
      scan.read(properties, 0, propertiesEnd);
    } catch {
      return 0; // Another client has sent properties that cannot be decoded.
    }
    if (!scan.has(PROPERTY.correlationId)) return 0;
    const at = PROPERTY.correlationId;
    return this.#correlation.read(properties, scan.starts[at]!, scan.ends[at]!);
  }

  #onBatchEnd(): void {
    this.#options.onBatchEnd?.();
    this.changed.fire();
  }

  /** Marks a request as answered. */
  #settle(slot: Slot): void {
    slot.answered = true;
    if (slot.body.length > KEEP) slot.body = NOTHING;
    this.#unanswered--;
    this.#bytes -= slot.size;
  }

  /** Passes on the replies that waited for the one before them. */
  #passOn(): void {
    while (this.#head < this.#next) {
      const slot = this.#slotOf(this.#head);
      if (!slot.answered) return;
      this.#head++;
      const { reply } = slot;
      if (reply === undefined) continue; // The request has expired.
      slot.reply = undefined;
      this.#bytes -= sizeOf(reply);
      this.#options.onReply(reply);
    }
  }

  /** Starts the timer, unless it runs. It is set at most once per period. */
  #arm(since: number): void {
    const { timeout } = this.#options;
    if (timeout === undefined || this.#timer !== undefined) return;
    const left = Math.max(0, Math.ceil(since + timeout - performance.now()));
    this.#timer = setTimeout(this.#onTimer, Math.min(left, MAX_TIMER));
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    if (this.#paused) return; // `resume` starts it again.
    let expired = false;
    while (this.#unanswered > 0) {
      const slot = this.#slotOf(this.#head);
      const since = Math.max(slot.since, this.#resumedAt);
      if (performance.now() < since + this.#options.timeout!) {
        this.#arm(since);
        break;
      }
      expired = true;
      this.#settle(slot);
      this.#head++;
      if (this.#sending < this.#head) this.#sending = this.#head;
      this.#options.onExpired?.();
      this.#passOn();
    }
    if (expired) this.#onBatchEnd();
  };
}

/** A copy of a message that stays valid. */
function copyOf({ content, ...delivery }: Delivery): Delivery {
  const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
  return {
    ...delivery,
    content: {
      properties: properties.slice(0, propertiesEnd),
      propertiesEnd,
      body: body.slice(bodyStart, bodyEnd),
      bodyStart: 0,
      bodyEnd: bodyEnd - bodyStart,
    },
  };
}

function sizeOf({ content }: Delivery): number {
  return content.propertiesEnd + content.bodyEnd - content.bodyStart;
}

const NOTHING = new Uint8Array(0);
