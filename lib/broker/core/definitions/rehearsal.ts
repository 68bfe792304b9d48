import { SYSTEM_CLOCK } from "../clock.ts";
import { Queue, type QueueHost } from "../queue/queue.ts";
import { store } from "../topology/definition_change.ts";
import { VirtualHost } from "../topology/vhost.ts";
import { UserStore } from "../users/user_store.ts";
import type { DefinitionsTarget } from "./definitions.ts";

/** A host for queues that never hold a message. */
const NO_HOST: QueueHost = {
  journal: { read: () => undefined, settle() {}, delivered() {}, deliveredOne() {}, settledOne() {} },
  cycle: { now: 0, clock: SYSTEM_CLOCK, wake() {}, begin() {}, end() {} },
  deadLetter: () => false,
  isTraced: () => false,
  traceDelivery() {},
  traceOutcome() {},
  deleteQueue() {},
  forget() {},
};

/** A copy of all definitions, to try an import on. The original does not change. */
export class Rehearsal implements DefinitionsTarget {
  readonly users: UserStore = new UserStore();
  readonly vhosts: Map<string, VirtualHost> = new Map();
  readonly #queues: Queue[] = [];
  #lastId = 0;

  constructor(original: DefinitionsTarget) {
    for (const change of original.users.changes()) this.users.apply(change);
    for (const vhost of original.vhosts.values()) {
      const copy = this.addVirtualHost(vhost.name);
      for (const change of vhost.changes()) {
        // The others follow, with those that are not durable. Bindings need not be known.
        if (!/^(queue|exchange|binding)-/.test(change.type)) copy.apply(change);
      }
      for (const { definition } of vhost.exchanges.values()) {
        if (!copy.exchanges.has(definition.name)) {
          copy.apply({ type: "exchange-added", exchange: store(definition) });
        }
      }
      for (const { definition } of vhost.queues.values()) {
        copy.apply({ type: "queue-added", queue: store(definition) });
      }
    }
  }

  addVirtualHost(name: string): VirtualHost {
    const known = this.vhosts.get(name);
    if (known !== undefined) return known;
    const vhost = new VirtualHost(name, {
      createQueue: (definition) => {
        const queue = new Queue(definition, NO_HOST);
        this.#queues.push(queue);
        return queue;
      },
      nextQueueId: () => ++this.#lastId,
      onChange() {},
    });
    this.vhosts.set(name, vhost);
    return vhost;
  }

  /** Stops the timers. */
  close(): void {
    for (const queue of this.#queues) queue.stop();
  }
}
