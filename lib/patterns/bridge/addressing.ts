import type { Delivery, Envelope } from "../contract.ts";

/** Returns the envelope with which a message is published, or the reason why it cannot be. It may keep `message`. */
export type Readdress = (message: Envelope) => Envelope | string;

/**
 * Makes the function `address` of a bridge. Messages in a row with the same exchange, topic and properties share one
 * envelope, so that they are readdressed once.
 */
export function addressing(readdress: Readdress): (delivery: Delivery) => Envelope | string {
  let last: Envelope | undefined;
  let result: Envelope | string = "";
  return ({ exchange, routingKey, content: { properties, propertiesEnd } }) => {
    if (
      last !== undefined && routingKey === last.routingKey && exchange === last.exchange &&
      startsWith(properties, propertiesEnd, last.properties)
    ) {
      return result;
    }
    last = { exchange, routingKey, properties: properties.slice(0, propertiesEnd) };
    try {
      result = readdress(last);
    } catch {
      result = "with malformed headers";
    }
    return result;
  };
}

/** Whether `bytes[0, end)` are equal to `known`. */
function startsWith(bytes: Uint8Array, end: number, known: Uint8Array): boolean {
  if (end !== known.length) return false;
  for (let i = 0; i < end; i++) if (bytes[i] !== known[i]) return false;
  return true;
}
