import type { PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";

/** A way out of an exchange, as its type looks at it. */
export interface Route<Destination> {
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** The headers of a message that is being routed; they are decoded only if somebody asks. */
export interface MessageHeaders {
  /** @throws {AmqpError} 501: malformed */
  table(): FieldTable;
}

/** How one type of exchange chooses among its bindings. */
export interface Matcher<Destination> {
  /** Whether the choice depends on the routing key, the bindings and nothing else. */
  readonly byKeyOnly: boolean;
  /** @throws {AmqpError} 406: the type does not take such arguments */
  check?(args: FieldTable): void;
  /** Adds a way that is not among them. */
  add(route: Route<Destination>): void;
  /** Removes a way that was added. */
  remove(route: Route<Destination>): void;
  /** Appends the destinations of all routes that match; one may come several times. */
  match(routingKey: string, headers: MessageHeaders, into: Destination[]): void;
}

/** Headers that come from a scan of properties; one object for all messages. */
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
