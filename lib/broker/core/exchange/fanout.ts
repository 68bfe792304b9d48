import type { Matcher, MessageHeaders, Route } from "./contract.ts";

/** The exchange type `fanout`: every binding matches (AMQP 0-9-1, 3.1.3.2). */
export class FanoutMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = true;
  readonly #routes = new Set<Route<Destination>>();

  add(route: Route<Destination>): void {
    this.#routes.add(route);
  }

  remove(route: Route<Destination>): void {
    this.#routes.delete(route);
  }

  match(_routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    for (const { destination } of this.#routes) into.push(destination);
  }
}
