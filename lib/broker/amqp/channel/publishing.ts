import { type AmqpError, amqpError } from "../../../amqp/amqp_error.ts";
import { ContentHeader, PublishFields } from "../../../amqp/basic_fields.ts";
import { BODY, HEADER } from "../../../amqp/frames/frame.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { BASIC_PUBLISH } from "../../../amqp/methods.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { copyBytes } from "../../../amqp/frames/frame_buffer.ts";
import type { ServerChannel } from "./channel.ts";
import { Confirms } from "./confirms.ts";
import { REPLY_TO, withReplyAddress } from "./direct_reply.ts";

/** A buffer over this size is given back when its message is through, in bytes. */
const KEEP = 64 * 1024;
/** The first size of a body that comes in several frames; it grows with what has come, up to what was announced. */
const FIRST_BODY = 64 * 1024;

/** What comes next. */
const METHOD = 0;
const CONTENT_HEADER = 1;
const CONTENT_BODY = 2;

/** A message as it is put together; `body` is lent by the frame that it came in, when it came in one. */
export class Assembled implements EncodedMessage {
  head: Uint8Array = new Uint8Array(256);
  readonly routeStart = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  body: Uint8Array = NOTHING;
  bodyStart = 0;
  bodyEnd = 0;
}

const NOTHING = new Uint8Array(0);

/** What is published on one channel: method, header and body frames put together, and confirmed. */
export class Publishing {
  /** Set by `confirm.select`. */
  confirms: Confirms | undefined;
  /** Positions of the journal that have to be safe before a `tx.commit` is answered, in their order. */
  #commits: number[] = [];
  /** Whether the channel is to be told its confirms at the end of the turn; kept by the broker. */
  awaiting = false;
  /** Messages that were published, ever. */
  count = 0;

  readonly #channel: ServerChannel;
  readonly #fields = new PublishFields();
  readonly #header = new ContentHeader();
  readonly #scan = new PropertyScan();
  readonly #message = new Assembled();
  #expected = METHOD;
  /** A body that comes in several frames. */
  #gathered: Uint8Array = NOTHING;
  #gatheredLength = 0;
  /** The exchange whose permission was checked last. */
  #allowed: string | undefined;

  constructor(channel: ServerChannel) {
    this.#channel = channel;
  }

  /** `basic.publish`: its content follows. */
  begin(bytes: Uint8Array, start: number, end: number): void {
    this.expectNoContent();
    const fields = this.#fields;
    fields.read(bytes, start, end);
    if (fields.immediate) throw amqpError(540, "immediate=true");
    if (fields.exchange !== this.#allowed) {
      this.#channel.connection.access.check("write", "exchange", fields.exchange);
      this.#allowed = fields.exchange;
    }
    const message = this.#message;
    message.propertiesStart = copyBytes(bytes, fields.routeStart, fields.routeEnd, this.#room(0, 512), 0);
    this.#expected = CONTENT_HEADER;
  }

  /** A header or a body frame. */
  onContent(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (type === HEADER && this.#expected === CONTENT_HEADER) this.#onHeader(bytes, start, end);
    else if (type === BODY && this.#expected === CONTENT_BODY) this.#onBody(bytes, start, end);
    else throw this.#outOfTurn();
  }

  /** Any other method: no content may be under way. */
  expectNoContent(): void {
    if (this.#expected !== METHOD) throw this.#outOfTurn();
  }

  release(): void {
    this.#expected = METHOD;
    this.#gathered = NOTHING;
    this.confirms = undefined;
    this.#commits = [];
  }

  /** Notes what became of a message. */
  confirm(taken: boolean, position: number): void {
    if (this.confirms === undefined) return;
    this.confirms.add(taken, position);
    if (!this.awaiting) this.#channel.connection.broker.awaitConfirm(this.#channel);
  }

  /** Answers `tx.commit`, once everything so far is safe. */
  committed(): void {
    const { broker } = this.#channel.connection;
    const { position } = broker.journal;
    // At once where nothing was written: what the commit made room for is delivered behind its answer.
    if (position <= broker.safePosition) return this.#channel.send("tx.commit-ok", {});
    this.#commits.push(position);
    if (!this.awaiting) broker.awaitConfirm(this.#channel);
  }

  /**
   * Tells what has become certain, at the end of a turn.
   *
   * @param safe the journal's position up to which everything is safe
   * @returns whether something is still waiting
   */
  tell(safe: number): boolean {
    const channel = this.#channel;
    if (this.confirms !== undefined) {
      return this.confirms.release(channel.connection.encoder, channel.number, safe);
    }
    const commits = this.#commits;
    while (commits.length > 0 && commits[0]! <= safe) {
      commits.shift();
      channel.send("tx.commit-ok", {});
    }
    return commits.length > 0;
  }

  #onHeader(bytes: Uint8Array, start: number, end: number): void {
    const header = this.#header;
    const message = this.#message;
    header.read(bytes, start, end);
    const { propertiesStart, propertiesEnd, bodySize } = header;
    const limit = this.#channel.connection.broker.options.maxMessageSize;
    if (bodySize > limit) {
      throw amqpError(406, `message size ${bodySize} is larger than configured max size ${limit}`);
    }
    const head = this.#room(message.propertiesStart, propertiesEnd - propertiesStart);
    message.propertiesEnd = copyBytes(bytes, propertiesStart, propertiesEnd, head, message.propertiesStart);
    this.#scan.read(head, message.propertiesStart, message.propertiesEnd);
    this.#expected = CONTENT_BODY;
    if (bodySize === 0) this.#complete(NOTHING, 0, 0);
  }

  #onBody(bytes: Uint8Array, start: number, end: number): void {
    const { bodySize } = this.#header;
    const length = this.#gatheredLength + end - start;
    if (length > bodySize) {
      throw amqpError(505, `a body has ${length} bytes where ${bodySize} were announced`);
    }
    if (end - start === bodySize) return this.#complete(bytes, start, end);
    if (length > this.#gathered.length) {
      const grown = new Uint8Array(
        Math.min(bodySize, Math.max(length, this.#gathered.length * 2, FIRST_BODY)),
      );
      grown.set(this.#gathered.subarray(0, this.#gatheredLength));
      this.#gathered = grown;
    }
    this.#gathered.set(bytes.subarray(start, end), this.#gatheredLength);
    this.#gatheredLength = length;
    if (length === bodySize) this.#complete(this.#gathered, 0, length);
  }

  #complete(body: Uint8Array, bodyStart: number, bodyEnd: number): void {
    this.#expected = METHOD;
    this.#gatheredLength = 0;
    const message = this.#message;
    message.body = body;
    message.bodyStart = bodyStart;
    message.bodyEnd = bodyEnd;
    this.#publish(message, this.#scan);
    message.body = NOTHING;
    if (this.#gathered.length > KEEP) this.#gathered = NOTHING;
    if (message.head.length > KEEP) message.head = new Uint8Array(256);
  }

  #publish(assembled: Assembled, scan: PropertyScan): void {
    const channel = this.#channel;
    const { broker } = channel.connection;
    const { exchange, routingKey, mandatory } = this.#fields;
    this.count++;
    let message: EncodedMessage = assembled;
    if (scan.has("replyTo") && scan.text("replyTo") === REPLY_TO) {
      message = withReplyAddress(channel, assembled);
      scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    }
    if (channel.transaction !== undefined) {
      broker.publisher.check(channel, exchange, scan);
      channel.transaction.publish(exchange, routingKey, mandatory, message);
    } else broker.publisher.publish(channel, exchange, routingKey, mandatory, message, scan);
  }

  /** The head's buffer, with room for `count` bytes behind the first `kept`. */
  #room(kept: number, count: number): Uint8Array {
    const message = this.#message;
    if (kept + count > message.head.length) {
      const grown = new Uint8Array(Math.max(kept + count, message.head.length * 2));
      grown.set(message.head.subarray(0, kept));
      message.head = grown;
    }
    return message.head;
  }

  /** The error for a frame that is not the one that must come next; it is blamed on the publish under way. */
  #outOfTurn(): AmqpError {
    if (this.#expected === METHOD) {
      return amqpError(505, "expected method frame, got non method frame instead");
    }
    const explanation = this.#expected === CONTENT_HEADER
      ? "expected content header for class 60, got non content header frame instead"
      : "expected content body, got non content body frame instead";
    return amqpError(505, explanation, { method: BASIC_PUBLISH });
  }
}
