/**
 * Readers for the methods and headers that occur once per message. Each object is reused and allocates nothing (names
 * come from a cache). Its positions refer to the bytes of the last `read`.
 */
import { amqpError, frameError } from "./amqp_error.ts";
import { BASIC_CLASS } from "./methods.ts";
import { readName } from "../bytes/text_cache.ts";
import { readUint32, readUint64 } from "./types/uint.ts";

/** `basic.publish` (AMQP 0-9-1 reference, 1.8.3.8). */
export class PublishFields {
  exchange = "";
  routingKey = "";
  mandatory = false;
  immediate = false;
  /** Exchange and routing key in their encoded form, two short strings: `route` of an encoded message. */
  routeStart = 0;
  routeEnd = 0;

  /**
   * Reads the payload of a method frame.
   *
   * @throws {AmqpError} 501: malformed
   */
  read(bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.routeStart = start + 6;
    const key = exchange < end ? exchange + 1 + bytes[exchange]! : end;
    const bits = this.routeEnd = key < end ? key + 1 + bytes[key]! : end;
    if (bits + 1 !== end) throw malformed("basic.publish");
    this.exchange = readName(bytes, exchange + 1, key);
    this.routingKey = readName(bytes, key + 1, bits);
    this.mandatory = (bytes[bits]! & 1) !== 0;
    this.immediate = (bytes[bits]! & 2) !== 0;
  }
}

/** `basic.deliver` (1.8.3.10). */
export class DeliverFields {
  consumerTag = "";
  /** Rounded beyond 2^53. */
  deliveryTag = 0;
  redelivered = false;
  exchange = "";
  routingKey = "";

  /**
   * Reads the payload of a method frame.
   *
   * @throws {AmqpError} 501: malformed
   */
  read(bytes: Uint8Array, start: number, end: number): void {
    const tag = start + 4;
    const fixed = tag < end ? tag + 1 + bytes[tag]! : end;
    const exchange = fixed + 9;
    const key = exchange < end ? exchange + 1 + bytes[exchange]! : end;
    if (key >= end || key + 1 + bytes[key]! !== end) throw malformed("basic.deliver");
    this.consumerTag = readName(bytes, tag + 1, fixed);
    this.deliveryTag = readUint64(bytes, fixed);
    this.redelivered = (bytes[fixed + 8]! & 1) !== 0;
    this.exchange = readName(bytes, exchange + 1, key);
    this.routingKey = readName(bytes, key + 1, end);
  }
}

/** `basic.ack`, `basic.nack` and `basic.reject` (1.8.3.13, 1.8.3.14): the same layout with different bits. */
export class AckFields {
  /** Rounded beyond 2^53; 0 with `multiple` means all messages. */
  deliveryTag = 0;
  /** For ack and nack. */
  multiple = false;
  /** For nack and reject. */
  requeue = false;

  /**
   * Reads the payload of a method frame of one of the three methods.
   *
   * @throws {AmqpError} 501: malformed
   */
  read(bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 13) throw malformed("an acknowledgement");
    this.deliveryTag = readUint64(bytes, start + 4);
    const bits = bytes[start + 12]!;
    const method = bytes[start + 3]!;
    this.multiple = method !== REJECT && (bits & 1) !== 0;
    this.requeue = method === REJECT ? (bits & 1) !== 0 : method === NACK && (bits & 2) !== 0;
  }
}

const REJECT = 90;
const NACK = 120;

/** A content header (4.2.6.1). */
export class ContentHeader {
  /** The size of the body in bytes; rounded beyond 2^53, which exceeds every limit. */
  bodySize = 0;
  /** Flags and properties: `properties` of an encoded message, the input of `PropertyScan` and `decodeProperties`. */
  propertiesStart = 0;
  propertiesEnd = 0;

  /**
   * Reads the payload of a header frame.
   *
   * @throws {AmqpError} 501: malformed; 505: a class without content
   */
  read(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 14) throw malformed("a content header");
    const head = readUint32(bytes, start);
    if (head !== BASIC_CLASS * 0x10000) {
      throw amqpError(505, `expected a content header for class ${BASIC_CLASS}, got one for ${head >>> 16}`);
    }
    this.bodySize = readUint64(bytes, start + 4);
    this.propertiesStart = start + 12;
    this.propertiesEnd = end;
  }
}

function malformed(what: string): Error {
  return frameError(`${what} is malformed`);
}
