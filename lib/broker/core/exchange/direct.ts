import type { Matcher, MessageHeaders, Route } from "./contract.ts";

/** The exchange type `direct`: the keys of the binding and the message are equal (AMQP 0-9-1, 3.1.3.1). */
export class DirectMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = true;
  readonly #routes = new Map<string, Set<Route<Destination>>>();

  add(route: Route<Destination>): void {
    const known = this.#routes.get(route.routingKey);
    if (known === undefined) this.#routes.set(route.routingKey, new Set([route]));
    else known.add(route);
  }

  remove(route: Route<Destination>): void {
    const known = this.#routes.get(route.routingKey);
    known?.delete(route);
    if (known?.size === 0) this.#routes.delete(route.routingKey);
  }

  match(routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    const routes = this.#routes.get(routingKey);
    if (routes !== undefined) { for (const { destination } of routes) into.push(destination); }
  }
}
