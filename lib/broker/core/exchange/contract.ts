import type { PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";

/** A binding as seen by the type of an exchange. */
export interface Route<Destination> {
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** The headers of a message that is being routed. They are decoded on the first access. */
export interface MessageHeaders {
  /** @throws {AmqpError} 501: the headers are malformed */
  table(): FieldTable;
}

/** The routing algorithm of an exchange type: selects the bindings that match a message. */
export interface Matcher<Destination> {
  /** Whether the result depends only on the routing key and the bindings. */
  readonly byKeyOnly: boolean;
  /** Checks the arguments of a binding. @throws {AmqpError} 406: the type does not accept the arguments */
  check?(args: FieldTable): void;
  /** Adds a new route. */
  add(route: Route<Destination>): void;
  /** Removes a route that was added. */
  remove(route: Route<Destination>): void;
  /** Appends the destinations of all matching routes to `into`. A destination can occur several times. */
  match(routingKey: string, headers: MessageHeaders, into: Destination[]): void;
}

/** Headers from a scan of the properties. One object is reused for all messages. */
export class ScannedHeaders implements MessageHeaders {
  #scan: PropertyScan | undefined;
  #table: FieldTable | undefined;

  of(scan: PropertyScan): this {
    this.#scan = scan;
    this.#table = undefined;
    return this;
  }

  table(): FieldTable {
    return this.#table ??= this.#scan?.headers() ?? NONE;
  }
}

const NONE: FieldTable = Object.freeze(Object.create(null));
