import { type AmqpError, amqpError } from "../../../amqp/amqp_error.ts";
import { ContentHeader, PublishFields } from "../../../amqp/basic_fields.ts";
import { BODY, HEADER } from "../../../amqp/frames/frame.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { RESTORE } from "../../../amqp/dump.ts";
import { BASIC_PUBLISH } from "../../../amqp/methods.ts";
import { PROPERTY, PropertyScan } from "../../../amqp/property_scan.ts";
import { copyBytes } from "../../../bytes/frame_buffer.ts";
import { checkTable } from "../../../amqp/types/table_check.ts";
import type { Confirmable } from "../../core/cycle.ts";
import { withoutHeader } from "../../core/message.ts";
import type { BodyWaiter } from "../../core/clients/body_budget.ts";
import type { Confirms } from "./confirms.ts";
import { restore } from "./dump.ts";
import type { ChannelContext } from "./contract.ts";
import { REPLY_TO, type ReplyReceiver, withReplyAddress } from "../../core/clients/direct_reply.ts";

/** A buffer over this size is released after its message, in bytes. */
const KEEP = 64 * 1024;
/** The initial buffer for a body of several frames; it grows with the data received, up to the announced size. */
const FIRST_BODY = 64 * 1024;

/** The part of a message that must come next. */
const METHOD = 0;
const CONTENT_HEADER = 1;
const CONTENT_BODY = 2;

/** The message that is being received; a body of one frame stays in the buffer of that frame. */
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

/** The publishing part of a channel: assembles messages from frames, publishes them and sends their confirms. */
export class Publishing implements Confirmable {
  /** Set by `confirm.select`. */
  confirms: Confirms | undefined;
  /** Positions of the journal that must be safe before each `tx.commit` is answered, in order. */
  #commits: number[] = [];
  awaitingConfirms = false;

  readonly #channel: ChannelContext & { readonly consuming: ReplyReceiver };
  readonly #fields = new PublishFields();
  readonly #header = new ContentHeader();
  readonly #scan = new PropertyScan();
  readonly #message = new Assembled();
  #expected = METHOD;
  /** A body that comes in several frames. */
  #gathered: Uint8Array = NOTHING;
  #gatheredLength = 0;
  /** The memory that is reserved for the body, and whether the channel waits for it. */
  #reserved = 0;
  #waiter: BodyWaiter | undefined;
  /** The exchange that the user's permission was last checked for, and the revision of the permissions then. */
  #allowed: string | undefined;
  #allowedAt = 0;
  /** Whether that exchange is `RESTORE`. */
  #restores = false;

  constructor(channel: ChannelContext & { readonly consuming: ReplyReceiver }) {
    this.#channel = channel;
  }

  /**
   * Whether a message is being received that must wait while the broker takes no messages. It is refused instead if the
   * disk is full and the client expects a confirm.
   */
  get mustWait(): boolean {
    return this.#expected !== METHOD && (this.confirms === undefined || !this.#channel.host.diskFull);
  }

  /** Handles `basic.publish`: the content of the message follows. */
  begin(bytes: Uint8Array, start: number, end: number): void {
    this.expectNoContent();
    const fields = this.#fields;
    fields.read(bytes, start, end);
    if (fields.immediate) throw amqpError(540, "immediate=true");
    const { access } = this.#channel.connection;
    if (fields.exchange !== this.#allowed || access.revision !== this.#allowedAt) {
      this.#restores = fields.exchange === RESTORE;
      if (!this.#restores) access.check("write", "exchange", fields.exchange);
      this.#allowed = fields.exchange;
      this.#allowedAt = access.revision;
    }
    const message = this.#message;
    message.propertiesStart = copyBytes(bytes, fields.routeStart, fields.routeEnd, this.#room(0, 512), 0);
    this.#expected = CONTENT_HEADER;
    const { blocked } = this.#channel.host;
    if (blocked !== undefined && this.mustWait) this.#channel.connection.hold(blocked);
  }

  /** Handles a header or a body frame. */
  onContent(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (type === HEADER && this.#expected === CONTENT_HEADER) this.#onHeader(bytes, start, end);
    else if (type === BODY && this.#expected === CONTENT_BODY) this.#onBody(bytes, start, end);
    else throw this.#outOfTurn();
  }

  /** Called for all other methods. @throws {AmqpError} 505: the content of a message is incomplete */
  expectNoContent(): void {
    if (this.#expected !== METHOD) throw this.#outOfTurn();
  }

  /** Discards a message that is being received, and pending confirms. */
  release(): void {
    this.#expected = METHOD;
    this.#gathered = NOTHING;
    this.#gatheredLength = 0;
    this.#free();
    this.confirms = undefined;
    this.#commits = [];
  }

  /**
   * Publishes a message for the client: returns it when it is mandatory and was not routed, and records its confirm.
   *
   * @param message valid during the call
   * @param scan of the message's properties
   * @returns whether no queue refused the message
   * @throws {AmqpError} see `MessageIntake.check`
   */
  publish(
    exchange: string,
    routingKey: string,
    mandatory: boolean,
    message: EncodedMessage,
    scan: PropertyScan,
  ): boolean {
    const { connection, host, number, stats } = this.#channel;
    const { intake } = host;
    const { stats: vhostStats } = connection.vhost;
    const confirms = this.confirms !== undefined;
    stats.published++;
    vhostStats.published++;
    if (confirms) vhostStats.confirmable++;
    if (exchange === "" && host.directReplies.has(routingKey, connection.vhost)) {
      intake.sizes.add(message.bodyEnd - message.bodyStart);
      host.directReplies.deliver(routingKey, message);
      this.#addConfirm(true, 0);
      return true;
    }
    intake.publish(
      connection.vhost,
      connection.user,
      exchange,
      routingKey,
      message,
      scan,
      confirms,
      undefined,
      connection,
    );
    const { taken } = intake;
    if (!intake.routed) {
      if (mandatory) {
        stats.returned++;
        vhostStats.returned++;
        const returned = intake.blindCopies ? withoutHeader(message, "BCC") : message;
        connection.encoder.return(number, 312, "NO_ROUTE", returned);
        connection.touch();
      } else {
        stats.unroutable++;
        vhostStats.unroutable++;
      }
    } else if (intake.blocked !== undefined && host.blocked !== undefined) connection.hold(host.blocked);
    this.#addConfirm(taken, intake.position);
    return taken;
  }

  /** Answers `tx.commit` as soon as everything up to now is safe. */
  committed(): void {
    const { host } = this.#channel;
    const { position } = host;
    // At once if nothing was written: messages that the commit made room for are delivered after the answer.
    if (position <= host.safePosition) return this.#channel.send("tx.commit-ok", {});
    this.#commits.push(position);
    host.cycle.awaitConfirms(this);
  }

  confirm(safePosition: number): boolean {
    const { connection, number, stats } = this.#channel;
    const { confirms } = this;
    const commits = this.#commits;
    let pending: boolean;
    if (confirms !== undefined) {
      pending = confirms.send(connection.encoder, number, safePosition);
      connection.vhost.stats.confirmed += confirms.accepted - stats.confirmed;
      stats.confirmed = confirms.accepted;
    } else {
      while (commits.length > 0 && commits[0]! <= safePosition) {
        commits.shift();
        this.#channel.send("tx.commit-ok", {});
      }
      pending = commits.length > 0;
    }
    if (connection.encoder.out.length > 0) connection.touch();
    return pending;
  }

  #onHeader(bytes: Uint8Array, start: number, end: number): void {
    const header = this.#header;
    const message = this.#message;
    header.read(bytes, start, end);
    const { propertiesStart, propertiesEnd, bodySize } = header;
    const limit = this.#channel.host.maxMessageSize;
    if (bodySize > limit) {
      throw amqpError(406, `message size ${bodySize} is larger than configured max size ${limit}`);
    }
    const head = this.#room(message.propertiesStart, propertiesEnd - propertiesStart);
    message.propertiesEnd = copyBytes(bytes, propertiesStart, propertiesEnd, head, message.propertiesStart);
    const scan = this.#scan;
    scan.read(head, message.propertiesStart, message.propertiesEnd);
    // What is taken can be changed later: dead letters and redeliveries get headers of the broker.
    if (scan.has(PROPERTY.headers)) {
      checkTable(head, scan.starts[PROPERTY.headers]!, scan.ends[PROPERTY.headers]!);
    }
    this.#expected = CONTENT_BODY;
    if (bodySize === 0) this.#complete(NOTHING, 0, 0);
    else if (bodySize > this.#channel.connection.frameMax) this.#reserve(bodySize);
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
    this.#onMessage(message, this.#scan);
    message.body = NOTHING;
    if (this.#gathered.length > KEEP) this.#gathered = NOTHING;
    if (this.#reserved > 0) this.#free();
    if (message.head.length > KEEP) message.head = new Uint8Array(256);
  }

  #onMessage(assembled: Assembled, scan: PropertyScan): void {
    const { connection, host, transaction, consuming } = this.#channel;
    const { exchange, routingKey, mandatory } = this.#fields;
    if (this.#restores) return this.#restore(routingKey, assembled);
    connection.access.checkTopic("write", connection.vhost.exchanges, exchange, routingKey);
    let message: EncodedMessage = assembled;
    if (scan.has(PROPERTY.replyTo) && scan.text(PROPERTY.replyTo) === REPLY_TO) {
      message = withReplyAddress(assembled, host.directReplies.addressOf(consuming));
      scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    }
    if (transaction === undefined) this.publish(exchange, routingKey, mandatory, message, scan);
    else {
      host.intake.check(connection.vhost, connection.user, exchange, scan);
      transaction.publish(exchange, routingKey, mandatory, message);
    }
  }

  #restore(queue: string, assembled: Assembled): void {
    const { connection, host } = this.#channel;
    const position = restore(this.#channel, queue, assembled);
    if (host.intake.blocked !== undefined) connection.hold(host.intake.blocked);
    this.#addConfirm(true, position);
  }

  /**
   * Reserves memory for a body of several frames; the connection is not read while there is too little.
   *
   * @throws {AmqpError} 311: the connection itself receives other bodies, so that it cannot wait
   */
  #reserve(size: number): void {
    const { connection, host: { bodies } } = this.#channel;
    const admit = () => {
      this.#waiter = undefined;
      this.#reserved = size;
      connection.reserved += size;
    };
    if (bodies.reserve(size)) return admit();
    if (connection.reserved > 0) {
      throw amqpError(
        311,
        `the messages that the connection sends at the same time need more than ${bodies.limit} bytes of memory`,
      );
    }
    this.#waiter = {
      size,
      admit: () => {
        admit();
        connection.waitForRoom(false);
      },
    };
    bodies.wait(this.#waiter);
    connection.waitForRoom(true);
  }

  /** Returns the memory that `#reserve` has reserved. */
  #free(): void {
    const { connection, host: { bodies } } = this.#channel;
    if (this.#waiter !== undefined) {
      bodies.leave(this.#waiter);
      this.#waiter = undefined;
    }
    if (this.#reserved === 0) return;
    connection.reserved -= this.#reserved;
    bodies.free(this.#reserved);
    this.#reserved = 0;
  }

  #addConfirm(taken: boolean, position: number): void {
    if (this.confirms === undefined) return;
    this.confirms.add(taken, position);
    this.#channel.host.cycle.awaitConfirms(this);
  }

  /** Returns the buffer of the head, with room for `count` bytes after the first `kept`, which it keeps. */
  #room(kept: number, count: number): Uint8Array {
    const message = this.#message;
    if (kept + count > message.head.length) {
      const grown = new Uint8Array(Math.max(kept + count, message.head.length * 2));
      grown.set(message.head.subarray(0, kept));
      message.head = grown;
    }
    return message.head;
  }

  /** The error for a frame that is not the expected one; it names the method of the incomplete publish. */
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
