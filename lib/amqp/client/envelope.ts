import { LimitError } from "../../errors.ts";
import type { Envelope } from "../../link/message.ts";
import { FRAME_OVERHEAD } from "../frames/frame.ts";
import { CONTENT_HEAD } from "../frames/frame_writer.ts";
import { shortstr } from "../types/scalars.ts";

/**
 * Checks that a message with this envelope can be encoded.
 *
 * @param frameMax the largest frame of the connection, in bytes
 * @throws {RangeError} exchange or routing key has more than 255 bytes
 * @throws {LimitError} the properties do not fit a frame
 */
export function checkEnvelope({ exchange, routingKey, properties }: Envelope, frameMax: number): void {
  shortstr.sizeof(exchange, "exchange");
  shortstr.sizeof(routingKey, "routingKey");
  if (properties.length > propertiesLimit(frameMax)) throw tooLarge(properties.length, frameMax);
}

/** The largest encoded properties, in bytes: they are sent in one frame. */
export function propertiesLimit(frameMax: number): number {
  return frameMax - FRAME_OVERHEAD - CONTENT_HEAD;
}

/** The error for properties that do not fit a frame. */
export function tooLarge(size: number, frameMax: number): LimitError {
  return new LimitError(
    `Cannot publish a message with ${size} bytes of headers and properties: ` +
      `the limit of this connection is ${propertiesLimit(frameMax)} (one frame)`,
  );
}
