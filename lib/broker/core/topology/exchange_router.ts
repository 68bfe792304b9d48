import { amqpError } from "../../../amqp/amqp_error.ts";
import type { PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { typeName } from "../arguments.ts";
import { type MessageHeaders, ScannedHeaders } from "../exchange/contract.ts";
import { delayOf } from "../exchange/delayed.ts";
import { type Destination, Exchange } from "../exchange/exchange.ts";
import type { RouteResult } from "./route_result.ts";

/**
 * Routes messages to queues: through exchanges, bindings to other exchanges, and alternate exchanges if no binding
 * matches. Results that depend only on the routing key are cached until the topology changes.
 */
export class ExchangeRouter {
  /** Increases with every change of a binding or an exchange. */
  version = 0;
  readonly #exchanges: ReadonlyMap<string, Exchange>;
  readonly #headers = new ScannedHeaders();
  readonly #keys: string[] = [];
  readonly #found: Destination[] = [];
  readonly #work: Exchange[] = [];
  #message = 0;

  constructor(exchanges: ReadonlyMap<string, Exchange>) {
    this.#exchanges = exchanges;
  }

  /**
   * Fills `into` with the queues for a message, each queue once.
   *
   * @param scan a scan of the message's properties
   * @throws {AmqpError} 406: a header CC or BCC is not a list; 501: the headers are malformed
   */
  route(exchange: Exchange, routingKey: string, scan: PropertyScan, into: RouteResult): void {
    const { routes } = exchange;
    if (routes.version !== this.version) routes.reset(this.version, this.#isByKeyOnly(exchange));
    into.clear();
    const headers = this.#headers.of(scan);
    const keys = this.#keys;
    keys.length = 1;
    keys[0] = routingKey;
    if (scan.headersMention("CC")) {
      const table = headers.table();
      addCopies(table, "CC", keys);
      into.blindCopies = addCopies(table, "BCC", keys);
    }
    if (!routes.usable || keys.length > 1) return this.#walk(exchange, keys, headers, into);
    const known = routes.get(routingKey);
    if (known !== undefined) return into.take(known);
    this.#walk(exchange, keys, headers, into);
    routes.set(routingKey, into.toArray());
  }

  #walk(exchange: Exchange, keys: readonly string[], headers: MessageHeaders, into: RouteResult): void {
    const found = this.#found;
    const work = this.#work;
    const message = ++this.#message;
    // An error in an earlier call may have left entries.
    found.length = work.length = 0;
    work.push(exchange);
    exchange.passed = message;
    for (let at; (at = work.pop()) !== undefined;) {
      if (at.delayQueue !== undefined && (into.delay ||= delayOf(headers.table())) > 0) {
        into.add(at.delayQueue);
        continue;
      }
      for (let i = 0; i < keys.length; i++) at.matcher.match(keys[i]!, headers, found);
      if (found.length === 0 && at.alternate !== undefined) {
        const alternate = this.#exchanges.get(at.alternate);
        if (alternate !== undefined) found.push(alternate);
      }
      for (const destination of found) {
        if (!(destination instanceof Exchange)) into.add(destination);
        else if (destination.passed !== message) {
          destination.passed = message;
          work.push(destination);
        }
      }
      found.length = 0;
    }
  }

  /** Whether the exchange and all exchanges reachable from it route by the routing key only. */
  #isByKeyOnly(exchange: Exchange): boolean {
    const reached = new Set([exchange]);
    for (const { matcher, exits, alternate, delayQueue } of reached) {
      if (!matcher.byKeyOnly || delayQueue !== undefined) return false;
      for (const exit of exits) reached.add(exit);
      const other = alternate === undefined ? undefined : this.#exchanges.get(alternate);
      if (other !== undefined) reached.add(other);
    }
    return true;
  }
}

/**
 * Adds the routing keys of a header that lists additional keys (https://www.rabbitmq.com/sender-selected.html).
 *
 * @returns whether the header exists
 */
function addCopies(headers: FieldTable, name: "CC" | "BCC", keys: string[]): boolean {
  const value = headers[name];
  if (value === undefined) return false;
  if (!Array.isArray(value)) {
    throw amqpError(406, `invalid message: {unacceptable_type_in_header,"${name}",${typeName(value)}}`);
  }
  for (const key of value) if (typeof key === "string") keys.push(key);
  return true;
}
