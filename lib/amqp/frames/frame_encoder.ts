import { LimitError } from "../../errors.ts";
import {
  checkFrameMax,
  FRAME_END,
  FRAME_HEAD,
  FRAME_MIN_SIZE,
  FRAME_OVERHEAD,
  HEARTBEAT,
  METHOD,
} from "./frame.ts";
import {
  closeFrame,
  CONTENT_HEAD,
  sizeofBody,
  writeBody,
  writeContentHead,
  writeFrameHead,
} from "./frame_writer.ts";
import type { GivenArgs, MethodName } from "../method_args.ts";
import { sizeofMethod, writeMethod } from "../method_codec.ts";
import {
  BASIC_ACK,
  BASIC_DELIVER,
  BASIC_GET_OK,
  BASIC_NACK,
  BASIC_PUBLISH,
  BASIC_RETURN,
} from "../methods.ts";
import { type BasicProperties, sizeofProperties, writeProperties } from "../properties.ts";
import { writeShortString } from "../types/scalars.ts";
import { checkUint64, writeUint16, writeUint32, writeUint64 } from "../types/uint.ts";
import { copyBytes, FrameBuffer } from "../../bytes/frame_buffer.ts";

/**
 * A message in its encoded form, which is forwarded without decoding.
 * `head` and `body` may be the same buffer.
 */
export interface EncodedMessage {
  /** Contains the route and the properties, one after the other. */
  readonly head: Uint8Array;
  /** Exchange and routing key, as two short strings: see `PublishFields.routeStart`. */
  readonly routeStart: number;
  /** Property flags and properties: see `ContentHeader.propertiesStart`. */
  readonly propertiesStart: number;
  readonly propertiesEnd: number;
  readonly body: Uint8Array;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

/**
 * Encodes frames (AMQP 0-9-1, 4.2.3) back to back into one growing buffer, to be written in large blocks. A method that
 * throws an error has written nothing.
 */
export class FrameEncoder {
  /** The encoded frames. */
  readonly out: FrameBuffer;
  #frameMax: number = FRAME_MIN_SIZE;

  constructor(out: FrameBuffer = new FrameBuffer()) {
    this.out = out;
  }

  /** The size limit for sent frames, in bytes. Set it after tuning. Default: 4096 */
  get frameMax(): number {
    return this.#frameMax;
  }

  /** @throws {RangeError} not an integer of at least 4096 */
  set frameMax(frameMax: number) {
    this.#frameMax = checkFrameMax(frameMax);
  }

  /**
   * Encodes a method without content, or one whose content is encoded separately.
   *
   * @param args omitted arguments are empty, zero or false
   * @throws {RangeError | TypeError} an argument does not fit its type
   * @throws {LimitError} the method does not fit a frame
   */
  method<Name extends MethodName>(channel: number, name: Name, args: GivenArgs<Name>): void {
    const size = sizeofMethod(name, args);
    this.#checkPayload(size, name);
    const start = this.out.reserve(size + FRAME_OVERHEAD);
    const target = this.out.bytes;
    const at = writeMethod(name, args, target, writeFrameHead(target, start, METHOD, channel, size));
    target[at] = FRAME_END;
    this.out.length = at + 1;
  }

  /**
   * Encodes `basic.publish` with all of its frames.
   *
   * @param properties an object, or bytes from `encodeProperties`
   * @param body a buffer whose bytes `[bodyStart, bodyEnd)` are sent
   * @throws {RangeError | TypeError} a name has more than 255 bytes, or a property does not fit its type
   * @throws {LimitError} the properties do not fit a frame
   */
  publish(
    channel: number,
    exchange: string,
    routingKey: string,
    mandatory: boolean,
    properties: BasicProperties | Uint8Array,
    body: Uint8Array,
    bodyStart = 0,
    bodyEnd: number = body.length,
  ): void {
    const encoded = properties instanceof Uint8Array;
    const size = encoded ? properties.length : sizeofProperties(properties);
    this.#checkPayload(CONTENT_HEAD + size, "the properties");
    const names = 3 * (exchange.length + routingKey.length);
    const start = this.#reserve(9 + names, size, bodyEnd - bodyStart);
    const target = this.out.bytes;
    let at = writeUint32(target, start + FRAME_HEAD, BASIC_PUBLISH);
    at = writeUint16(target, at, 0);
    at = writeShortString(exchange, target, at);
    at = writeShortString(routingKey, target, at);
    target[at++] = mandatory ? 1 : 0;
    at = closeFrame(target, start, METHOD, channel, at);
    at = writeContentHead(target, at, channel, size, bodyEnd - bodyStart);
    at = encoded ? copyBytes(properties, 0, size, target, at) : writeProperties(properties, target, at);
    target[at++] = FRAME_END;
    this.out.length = writeBody(target, at, channel, body, bodyStart, bodyEnd, this.#frameMax);
  }

  /**
   * Encodes `basic.deliver` with all of its frames.
   *
   * @throws {RangeError} the consumer tag has more than 255 bytes
   */
  deliver(
    channel: number,
    consumerTag: string,
    deliveryTag: number,
    redelivered: boolean,
    message: EncodedMessage,
  ): void {
    const start = this.#reserveMessage(14 + 3 * consumerTag.length, message);
    const target = this.out.bytes;
    let at = writeUint32(target, start + FRAME_HEAD, BASIC_DELIVER);
    at = writeShortString(consumerTag, target, at);
    at = writeUint64(target, at, deliveryTag);
    target[at++] = redelivered ? 1 : 0;
    at = copyBytes(message.head, message.routeStart, message.propertiesStart, target, at);
    this.#writeMessage(closeFrame(target, start, METHOD, channel, at), channel, message);
  }

  /**
   * Encodes `basic.get-ok` with all of its frames.
   *
   * @param messageCount the number of messages left in the queue
   */
  getOk(
    channel: number,
    deliveryTag: number,
    redelivered: boolean,
    messageCount: number,
    message: EncodedMessage,
  ): void {
    const start = this.#reserveMessage(17, message);
    const target = this.out.bytes;
    let at = writeUint32(target, start + FRAME_HEAD, BASIC_GET_OK);
    at = writeUint64(target, at, deliveryTag);
    target[at++] = redelivered ? 1 : 0;
    at = copyBytes(message.head, message.routeStart, message.propertiesStart, target, at);
    at = writeUint32(target, at, messageCount);
    this.#writeMessage(closeFrame(target, start, METHOD, channel, at), channel, message);
  }

  /**
   * Encodes `basic.return` with all of its frames.
   *
   * @throws {RangeError} the text has more than 255 bytes
   */
  return(channel: number, replyCode: number, replyText: string, message: EncodedMessage): void {
    const start = this.#reserveMessage(7 + 3 * replyText.length, message);
    const target = this.out.bytes;
    let at = writeUint32(target, start + FRAME_HEAD, BASIC_RETURN);
    at = writeUint16(target, at, replyCode);
    at = writeShortString(replyText, target, at);
    at = copyBytes(message.head, message.routeStart, message.propertiesStart, target, at);
    this.#writeMessage(closeFrame(target, start, METHOD, channel, at), channel, message);
  }

  /**
   * Encodes a content header, for a body that is encoded in pieces with `body`.
   *
   * @param bodySize the size of all pieces, in bytes
   * @param properties an object, or bytes from `encodeProperties`
   * @throws {RangeError | TypeError} a property does not fit its type
   * @throws {LimitError} the properties do not fit a frame
   */
  contentHeader(channel: number, bodySize: number, properties: BasicProperties | Uint8Array): void {
    checkUint64(bodySize, "bodySize");
    const encoded = properties instanceof Uint8Array;
    const size = encoded ? properties.length : sizeofProperties(properties);
    this.#checkPayload(size + CONTENT_HEAD, "the properties");
    const start = this.out.reserve(size + CONTENT_HEAD + FRAME_OVERHEAD);
    const target = this.out.bytes;
    let at = writeContentHead(target, start, channel, size, bodySize);
    at = encoded ? copyBytes(properties, 0, size, target, at) : writeProperties(properties, target, at);
    target[at] = FRAME_END;
    this.out.length = at + 1;
  }

  /** Encodes body frames for `bytes[start, end)`; none for an empty range. */
  body(channel: number, bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const at = this.out.reserve(sizeofBody(end - start, this.#frameMax));
    this.out.length = writeBody(this.out.bytes, at, channel, bytes, start, end, this.#frameMax);
  }

  /** Encodes `basic.ack`. */
  ack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#settle(BASIC_ACK, channel, deliveryTag, multiple ? 1 : 0);
  }

  /** Encodes `basic.nack`, an extension of RabbitMQ. */
  nack(channel: number, deliveryTag: number, multiple: boolean, requeue: boolean): void {
    this.#settle(BASIC_NACK, channel, deliveryTag, (multiple ? 1 : 0) | (requeue ? 2 : 0));
  }

  /** Encodes a heartbeat frame (4.2.7). */
  heartbeat(): void {
    const start = this.out.reserve(FRAME_OVERHEAD);
    this.out.length = closeFrame(this.out.bytes, start, HEARTBEAT, 0, start + FRAME_HEAD);
  }

  /** Encodes an acknowledgement: a tag and an octet of bits. */
  #settle(id: number, channel: number, deliveryTag: number, bits: number): void {
    checkUint64(deliveryTag, "deliveryTag");
    const start = this.out.reserve(13 + FRAME_OVERHEAD);
    const target = this.out.bytes;
    let at = writeUint32(target, start + FRAME_HEAD, id);
    at = writeUint64(target, at, deliveryTag);
    target[at++] = bits;
    this.out.length = closeFrame(target, start, METHOD, channel, at);
  }

  /** Makes room for a method of at most `methodSize` bytes and its content. */
  #reserve(methodSize: number, propertiesSize: number, bodySize: number): number {
    return this.out.reserve(
      methodSize + CONTENT_HEAD + propertiesSize + 2 * FRAME_OVERHEAD + sizeofBody(bodySize, this.#frameMax),
    );
  }

  /** The properties may exceed a frame, as in RabbitMQ: the message is another client's, and would never be delivered. */
  #reserveMessage(methodSize: number, message: EncodedMessage): number {
    const { routeStart, propertiesStart, propertiesEnd, bodyStart, bodyEnd } = message;
    return this.#reserve(
      methodSize + propertiesStart - routeStart,
      propertiesEnd - propertiesStart,
      bodyEnd - bodyStart,
    );
  }

  /** Writes the content of a message at `at`, after its method. */
  #writeMessage(at: number, channel: number, message: EncodedMessage): void {
    const { head, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = message;
    const target = this.out.bytes;
    at = writeContentHead(target, at, channel, propertiesEnd - propertiesStart, bodyEnd - bodyStart);
    at = copyBytes(head, propertiesStart, propertiesEnd, target, at);
    target[at++] = FRAME_END;
    this.out.length = writeBody(target, at, channel, body, bodyStart, bodyEnd, this.#frameMax);
  }

  #checkPayload(size: number, what: string): void {
    const limit = this.#frameMax - FRAME_OVERHEAD;
    if (size > limit) {
      throw new LimitError(`Cannot encode ${what} of ${size} bytes: the limit of a frame is ${limit}`);
    }
  }
}
