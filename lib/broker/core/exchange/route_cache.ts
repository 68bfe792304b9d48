import type { Queue } from "../queue/queue.ts";

/** The maximum size of one exchange's cache: the number of entries plus the number of queues in them. */
const LIMIT = 32 * 1024;

/** Caches the queues for each routing key of one exchange, for one version of the topology. */
export class RouteCache {
  /** The version of the topology that the entries are valid for. */
  version = -1;
  /** Whether the result depends only on the routing key, in this version. */
  usable = false;
  readonly #routes = new Map<string, readonly Queue[]>();
  #weight = 0;

  /** Clears the cache for a new version of the topology. */
  reset(version: number, usable: boolean): void {
    this.version = version;
    this.usable = usable;
    if (this.#routes.size > 0) this.#routes.clear();
    this.#weight = 0;
  }

  get(routingKey: string): readonly Queue[] | undefined {
    return this.#routes.get(routingKey);
  }

  /**
   * Adds an entry. Over the limit, all entries are dropped: keys that occur only once do not deserve a better policy.
   */
  set(routingKey: string, queues: readonly Queue[]): void {
    this.#weight += 1 + queues.length;
    if (this.#weight > LIMIT) {
      this.#routes.clear();
      this.#weight = 1 + queues.length;
    }
    this.#routes.set(routingKey, queues);
  }
}
