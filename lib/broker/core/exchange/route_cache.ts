import type { Queue } from "../queue/queue.ts";

/** What one exchange's cache may hold: entries, and queues in them. */
const LIMIT = 32 * 1024;

/** Where messages of one exchange went, by their routing key, as long as the topology is the same. */
export class RouteCache {
  /** The version of the topology that it is of. */
  version = -1;
  /** Whether the routing key alone decides, in this version. */
  usable = false;
  readonly #routes = new Map<string, readonly Queue[]>();
  #weight = 0;

  /** Begins anew. */
  reset(version: number, usable: boolean): void {
    this.version = version;
    this.usable = usable;
    if (this.#routes.size > 0) this.#routes.clear();
    this.#weight = 0;
  }

  get(routingKey: string): readonly Queue[] | undefined {
    return this.#routes.get(routingKey);
  }

  /** Over the limit everything is forgotten: keys that never come twice are not worth more. */
  set(routingKey: string, queues: readonly Queue[]): void {
    this.#weight += 1 + queues.length;
    if (this.#weight > LIMIT) {
      this.#routes.clear();
      this.#weight = 1 + queues.length;
    }
    this.#routes.set(routingKey, queues);
  }
}
