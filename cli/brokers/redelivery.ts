/** Counts the messages that may be duplicates, as far as the broker marks them. */
import { headerOf } from "../../lib/patterns/bridge/headers.ts";
import type { Delivery } from "../../lib/patterns/contract.ts";
import type { Counts } from "../app/session.ts";

/** The header with which a quorum queue says how often it has delivered a message before. */
const DELIVERY_COUNT = "x-delivery-count";

/**
 * Counts a received message if the broker has delivered it before. That is no proof of a duplicate: the receiver of the
 * earlier delivery may have lost it, or may only have looked at it.
 */
export function countRedelivery(counts: Counts, { redelivered, content }: Delivery): void {
  if (!redelivered) return;
  counts.redelivered = (counts.redelivered ?? 0) + 1;
  const earlier = headerOf(content.properties.subarray(0, content.propertiesEnd), DELIVERY_COUNT);
  if (typeof earlier !== "number" && typeof earlier !== "bigint") return;
  counts.earlier_deliveries = (counts.earlier_deliveries ?? 0) + Number(earlier);
}
