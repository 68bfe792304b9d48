import type { Matcher, MessageHeaders, Way } from "./contract.ts";

/** Type `fanout`: every binding, whatever its key (AMQP 0-9-1, 3.1.3.2). */
export class FanoutMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = true;
  readonly #ways = new Set<Way<Destination>>();

  add(way: Way<Destination>): void {
    this.#ways.add(way);
  }

  remove(way: Way<Destination>): void {
    this.#ways.delete(way);
  }

  match(_routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    for (const { destination } of this.#ways) into.push(destination);
  }
}
