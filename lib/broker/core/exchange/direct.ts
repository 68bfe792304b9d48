import type { Matcher, MessageHeaders, Way } from "./contract.ts";

/** Type `direct`: the binding's key is the message's (AMQP 0-9-1, 3.1.3.1). */
export class DirectMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = true;
  readonly #ways = new Map<string, Set<Way<Destination>>>();

  add(way: Way<Destination>): void {
    const known = this.#ways.get(way.routingKey);
    if (known === undefined) this.#ways.set(way.routingKey, new Set([way]));
    else known.add(way);
  }

  remove(way: Way<Destination>): void {
    const known = this.#ways.get(way.routingKey);
    known?.delete(way);
    if (known?.size === 0) this.#ways.delete(way.routingKey);
  }

  match(routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    const ways = this.#ways.get(routingKey);
    if (ways !== undefined) { for (const { destination } of ways) into.push(destination); }
  }
}
