import type { FieldTable } from "./types/field_value.ts";

/**
 * Whether a peer says that it can do something, in the `capabilities` of its properties (RabbitMQ's; both ends tell
 * theirs when a connection begins).
 *
 * @param properties of `connection.start` or `connection.start-ok`; what stands in them is the peer's affair
 */
export function isCapable(properties: FieldTable, capability: string): boolean {
  const { capabilities } = properties;
  return (capabilities as FieldTable | null | undefined)?.[capability] === true;
}
