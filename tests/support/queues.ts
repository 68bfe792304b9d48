/** Real queues without a broker, for tests of topology, routing and definitions. */
import { SYSTEM_CLOCK } from "../../lib/broker/core/clock.ts";
import { Queue, type QueueHost } from "../../lib/broker/core/queue/queue.ts";
import type { QueueDefinition } from "../../lib/broker/core/topology/definition_change.ts";

const HOST: QueueHost = {
  journal: { read: () => undefined, settle() {}, delivered() {}, deliveredOne() {}, settledOne() {} },
  cycle: { now: 0, clock: SYSTEM_CLOCK, wake() {}, begin() {}, end() {} },
  deadLetter: () => false,
  isTraced: () => false,
  traceDelivery() {},
  traceOutcome() {},
  deleteQueue() {},
  forget() {},
};

/** A queue whose messages are not stored. */
export function makeQueue(definition: QueueDefinition): Queue {
  return new Queue(definition, HOST);
}

/** A transient queue with a name and nothing else. */
export function namedQueue(name: string): Queue {
  const flags = { durable: false, exclusive: false, autoDelete: false };
  return makeQueue({ id: 1, vhost: "/", name, ...flags, arguments: {} });
}
