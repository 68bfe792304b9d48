import type { Matcher, MessageHeaders } from "./contract.ts";

/** The default exchange: every queue is bound with its name, and there are no other bindings (AMQP 0-9-1, 3.1.3.1). */
export class DefaultMatcher<Destination> implements Matcher<Destination> {
  /** False: the queues can change without a change of the bindings. */
  readonly byKeyOnly = false;
  readonly #queues: ReadonlyMap<string, Destination>;

  constructor(queues: ReadonlyMap<string, Destination>) {
    this.#queues = queues;
  }

  add(): void {}

  remove(): void {}

  match(routingKey: string, _headers: MessageHeaders, into: Destination[]): void {
    const queue = this.#queues.get(routingKey);
    if (queue !== undefined) into.push(queue);
  }
}
