/** The properties of messages on MQTT: those of the shared message are AMQP's. */
import { PROPERTY, PropertyScan } from "../../amqp/property_scan.ts";
import { encodeTable } from "../../amqp/types/table.ts";
import { copyBytes } from "../../bytes/frame_buffer.ts";
import { headersOf, ROOM, writeAmqpProperties } from "../../crossing/mqtt/from_mqtt.ts";
import { HEADER } from "../../crossing/mqtt/headers.ts";
import { NO_HEADERS, writeExpiry, writeMqttProperties } from "../../crossing/mqtt/to_mqtt.ts";
import type { PropertyMapping, PropertyTarget } from "../../mqtt/client/mapping.ts";
import type { PublishFields } from "../../mqtt/fields.ts";
import type { PropertyWriter } from "../../mqtt/properties.ts";

/** The flag of the delivery mode (AMQP 0-9-1, 4.2.6.1). */
const DELIVERY_MODE = 1 << 12;

/** Maps the properties by the rules of RabbitMQ, but topics stay topics: `/` is not exchanged with `.`. */
export class AmqpMapping implements PropertyMapping {
  readonly #scan = new PropertyScan();

  write(properties: Uint8Array, into: PropertyWriter): void {
    const scan = this.#scan;
    scan.read(properties, 0, properties.length);
    if (scan.flags === 0) return;
    const ttl = scan.has(PROPERTY.expiration) ? Number(scan.text(PROPERTY.expiration)) : NaN;
    const headers = scan.headers() ?? NO_HEADERS;
    if (ttl >= 0) writeExpiry(ttl, headers, into);
    writeMqttProperties(scan, properties, headers, into, (address) => address);
  }

  /** A message of QoS 0 or 1 without properties allocates nothing. */
  read(fields: PublishFields, target: PropertyTarget): void {
    const { qos, retain } = fields;
    if (fields.properties.isEmpty && qos < 2 && !retain) {
      const mode = qos > 0 ? DELIVERY_MODE : 0;
      target.properties = growTo(target.properties, 3);
      target.properties[0] = mode >>> 8;
      target.properties[1] = 0;
      target.properties[2] = 2;
      target.propertiesEnd = qos > 0 ? 3 : 2;
      return;
    }
    const headers = headersOf(fields, (set) => qos === 2 ? set(HEADER.qos, qos) : undefined);
    const table = headers === undefined ? undefined : encodeTable(headers);
    target.properties = growTo(target.properties, ROOM + (table?.length ?? 0));
    target.propertiesEnd = writeAmqpProperties(fields, qos > 0, table, target.properties, 0, copyBytes);
  }
}

function growTo(buffer: Uint8Array, size: number): Uint8Array {
  return buffer.length >= size ? buffer : new Uint8Array(size);
}
