import type { PublishFields } from "../fields.ts";
import type { PropertyWriter } from "../properties.ts";

/**
 * Converts properties between the messages of `lib/link` and MQTT 5.0. The client knows MQTT only; without a mapping,
 * messages have no properties.
 */
export interface PropertyMapping {
  /**
   * Appends the properties of MQTT for the encoded properties of a message.
   *
   * @throws {RangeError} a property does not fit
   */
  write(properties: Uint8Array, into: PropertyWriter): void;
  /** Encodes the properties of a received message into `target`, which is used again. */
  read(fields: PublishFields, target: PropertyTarget): void;
}

/** A buffer for encoded properties: `[0, propertiesEnd)`. */
export interface PropertyTarget {
  properties: Uint8Array;
  propertiesEnd: number;
}
