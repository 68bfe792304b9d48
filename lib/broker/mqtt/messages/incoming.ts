import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { encodeTable } from "../../../amqp/types/table.ts";
import { copyBytes } from "../../../bytes/frame_buffer.ts";
import { readName } from "../../../bytes/text_cache.ts";
import { headersOf, ROOM, writeAmqpProperties } from "../../../crossing/mqtt/from_mqtt.ts";
import { HEADER } from "../../../crossing/mqtt/headers.ts";
import type { PublishFields } from "../../../mqtt/fields.ts";
import { copyExchanged, EXCHANGE } from "../names.ts";

const NOTHING = new Uint8Array(0);
/** The flag of the delivery mode (AMQP 0-9-1, 4.2.6.1). */
const PERSISTENT = 1 << 12;
const ROUTE = new TextEncoder().encode(`${String.fromCharCode(EXCHANGE.length)}${EXCHANGE}`);

/**
 * The message of a PUBLISH in the form of the core. One object is reused for all messages; a message without properties
 * allocates nothing.
 */
export class IncomingMessage implements EncodedMessage {
  head: Uint8Array = new Uint8Array(2048);
  readonly routeStart = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  body: Uint8Array = NOTHING;
  bodyStart = 0;
  bodyEnd = 0;
  readonly scan: PropertyScan = new PropertyScan();
  /** The routing key. */
  key = "";

  /**
   * Sets the message.
   *
   * @param topic a buffer whose bytes `[topicStart, topicEnd)`, at most 255, are the topic
   * @param packetId set if the state of the publisher's session refers to it; else 0
   * @param clientId set if a subscriber wants no messages of its own
   * @param stored whether the message is stored by itself, so that its delivery mode does not tell the QoS
   */
  set(
    fields: PublishFields,
    topic: Uint8Array,
    topicStart: number,
    topicEnd: number,
    packetId: number,
    clientId: string | undefined,
    stored: boolean,
  ): void {
    const { qos, retain, properties } = fields;
    let head = this.head;
    let at = copyBytes(ROUTE, 0, ROUTE.length, head, 0);
    head[at++] = topicEnd - topicStart;
    const keyStart = at;
    at = this.propertiesStart = copyExchanged(topic, topicStart, topicEnd, head, at);
    this.key = readName(head, keyStart, at);
    const isPersistent = stored || qos > 0;
    if (properties.isEmpty && qos < 2 && !retain && !stored && clientId === undefined) {
      head[at++] = isPersistent ? PERSISTENT >>> 8 : 0;
      head[at++] = 0;
      if (isPersistent) head[at++] = 2;
    } else {
      const headers = headersOf(fields, (set) => {
        if (qos === 2 || stored) set(HEADER.qos, qos);
        if (packetId > 0) set(HEADER.packetId, packetId);
        if (clientId !== undefined) set(HEADER.clientId, clientId);
      });
      const table = headers === undefined ? undefined : encodeTable(headers);
      if (table !== undefined && at + table.length + ROOM > head.length) {
        head = new Uint8Array(at + table.length + ROOM);
        head.set(this.head.subarray(0, at));
        this.head = head;
      }
      at = writeAmqpProperties(fields, isPersistent, table, head, at, copyExchanged);
    }
    this.propertiesEnd = at;
    this.body = fields.bytes;
    this.bodyStart = fields.payloadStart;
    this.bodyEnd = fields.payloadEnd;
    this.scan.read(head, this.propertiesStart, at);
  }

  /** Releases the packet, which is valid during its callback only. */
  release(): void {
    this.body = NOTHING;
    if (this.head.length > 64 * 1024) this.head = new Uint8Array(2048);
  }
}
