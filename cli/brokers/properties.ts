import type { BasicProperties } from "../../lib/amqp/properties.ts";
import { messageOf } from "../../lib/errors.ts";
import { UsageError } from "../app/errors.ts";
import { parseProperty } from "../queue/records.ts";

/** The values of the options in `options/properties.ts`. */
export interface PropertyValues {
  readonly header: readonly (readonly [name: string, value: string])[];
  readonly property: readonly string[];
}

/**
 * The properties that the options request for all messages.
 *
 * @param reserved the properties that the command sets itself
 * @throws {UsageError} there is no such property, or it has another type, or the command sets it
 */
export function propertiesOf(
  command: string,
  { header, property }: PropertyValues,
  reserved: readonly (keyof BasicProperties)[] = [],
): BasicProperties {
  const given = property.map((text) => {
    try {
      return parseProperty(text);
    } catch (error) {
      throw new UsageError(`-P '${text}': ${messageOf(error)}`);
    }
  });
  const taken = given.findIndex(([name]) => reserved.includes(name));
  if (taken >= 0) {
    throw new UsageError(
      `-P '${property[taken]}': ${command} sets this property itself, to match the replies`,
    );
  }
  const properties: BasicProperties = Object.fromEntries(given);
  if (header.length > 0) properties.headers = Object.fromEntries(header);
  return properties;
}
