import type { FieldTable } from "./types/field_value.ts";

/**
 * Whether a peer announces a capability in its properties. This is RabbitMQ's extension; both peers announce their
 * capabilities when a connection begins.
 *
 * @param properties those of `connection.start` or `connection.start-ok`, not validated
 * @param capability a name such as `basic.nack`
 */
export function isCapable(properties: FieldTable, capability: string): boolean {
  const { capabilities } = properties;
  return (capabilities as FieldTable | null | undefined)?.[capability] === true;
}
