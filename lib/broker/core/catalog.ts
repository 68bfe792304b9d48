import { type DelayHost, DelayQueue } from "./queue/delay_queue.ts";
import { Queue } from "./queue/queue.ts";
import { messageOf } from "../../errors.ts";
import { DefinitionsLog } from "./journal/definitions_log.ts";
import type { DirectoryState } from "./journal/options.ts";
import type { Lane } from "./queue/lane.ts";
import { type DefinitionChange, type QueueDefinition, store } from "./topology/definition_change.ts";
import { UserStore } from "./users/user_store.ts";
import { VirtualHost } from "./topology/vhost.ts";

/** Number of queue ids that are reserved at a time. */
const ID_BLOCK = 1024;

/** What the catalog needs of the broker. */
export interface CatalogHost extends DelayHost {
  /** A durable definition could not be written, or everything is written again. */
  onRoomChange(): void;
}

/**
 * The definitions of a broker: virtual hosts with their queues, exchanges and bindings, and users. Each change of a
 * durable definition is logged. At the next start the log is replayed before the messages are read.
 */
export class Catalog {
  readonly users: UserStore = new UserStore((change) => this.#record(change));
  readonly vhosts: Map<string, VirtualHost> = new Map();
  /** All queues, by their id in the journal. */
  readonly queues: Map<number, Queue> = new Map();

  readonly #host: CatalogHost;
  #log: DefinitionsLog | undefined;
  /** During recovery: queues for messages whose queue definition is lost. */
  #adopted: Queue[] | undefined;
  /** Definitions were found to be lost at this start. */
  definitionsLost = false;
  /** Definitions were lost, so the absence of users says nothing: see `usersLost`. */
  #usersLost = false;
  #lastQueueId = 0;
  #reservedIds = 0;

  constructor(host: CatalogHost) {
    this.#host = host;
  }

  /** Why a durable definition could not be written; undefined if all are written. */
  get writeError(): Error | undefined {
    return this.#log?.writeError;
  }

  /**
   * Recovers the definitions from their log; from now on changes are written to it.
   *
   * @param sync whether each change is synced to disk before it is answered
   * @param onProblem called with a description of damaged data
   */
  open(directory: string, sync: boolean, state: DirectoryState, onProblem: (what: string) => void): void {
    this.#log = DefinitionsLog.open({
      directory,
      sync,
      snapshot: () => this.#changes(),
      mustExist: state.used,
      changed: state.definitionsChanged,
      defer: true,
      onProblem,
    }, (change) => {
      try {
        this.#apply(change as DefinitionChange);
      } catch (error) {
        onProblem(`A definition cannot be applied: ${messageOf(error)} (${JSON.stringify(change)})`);
      }
    });
    if (this.#log.incomplete) this.#adopted = [];
    this.definitionsLost = this.#log.damaged;
    if (!this.definitionsLost || this.#usersLost) return;
    this.#usersLost = true;
    this.#record({ type: "users-lost" });
  }

  /**
   * Whether the definitions of users may be lost, now or at an earlier start. A user that every client knows must then
   * not be added because there are no others.
   */
  get usersLost(): boolean {
    return this.#usersLost;
  }

  /** Returns all lanes of the queues that survive a restart, with the id of their queue. */
  *durableLanes(): Iterable<readonly [queueId: number, lane: Lane]> {
    for (const [id, { definition, lanes }] of this.queues) {
      if (definition.durable) { for (const lane of lanes) yield [id, lane]; }
    }
  }

  /** Returns the name of a queue in quotes, with its virtual host if that is not "/". */
  nameOf(id: number): string | undefined {
    const definition = this.queues.get(id)?.definition;
    if (definition === undefined) return undefined;
    const { name, vhost } = definition;
    return vhost === "/" ? `'${name}'` : `'${name}' in vhost '${vhost}'`;
  }

  /** Returns the queue of a message from the journal; undefined when the queue was deleted. */
  queueOf(id: number): Queue | undefined {
    return this.queues.get(id) ?? this.#adopt(id);
  }

  /**
   * Called after all messages are restored. Queues without a definition stay if they have messages; the others were
   * deleted, and the journal has only their acknowledgements.
   */
  recovered(onProblem: (what: string) => void): void {
    const adopted = this.#adopted ?? [];
    this.#adopted = undefined;
    for (const queue of adopted) {
      const { definition: { id, name }, ready } = queue;
      if (id > this.#reservedIds) {
        this.#reservedIds = id;
        this.#record({ type: "queue-ids-reserved", upTo: id });
      }
      this.#lastQueueId = Math.max(this.#lastQueueId, id);
      if (ready === 0) this.#host.deleteQueue(queue);
      else {
        this.#record({ type: "queue-added", queue: store(queue.definition) });
        onProblem(`The definition of a queue is lost: its ${ready} messages are in the queue '${name}' now`);
      }
    }
    // In one step: after a crash before it, the next start finds the messages without a definition again.
    this.#log?.complete();
  }

  /** Tries again to write pending changes. @returns whether everything is written */
  catchUp(): boolean {
    return this.#log === undefined || this.#log.catchUp();
  }

  close(): void {
    this.#log?.close();
  }

  /** Adds a virtual host, or finds the existing one. */
  addVirtualHost(name: string): VirtualHost {
    const known = this.vhosts.get(name);
    if (known !== undefined) return known;
    const vhost = new VirtualHost(name, {
      createQueue: (definition, kind) => this.#createQueue(definition, kind),
      nextQueueId: () => this.#nextQueueId(),
      onChange: (change) => this.#record(change),
    });
    this.vhosts.set(name, vhost);
    this.#record({ type: "vhost-added", vhost: name });
    return vhost;
  }

  /** Removes a virtual host with everything in it; returns undefined if it does not exist. */
  removeVirtualHost(name: string): VirtualHost | undefined {
    const vhost = this.vhosts.get(name);
    if (vhost === undefined) return undefined;
    this.vhosts.delete(name);
    vhost.close();
    this.users.forgetVhost(name);
    this.#record({ type: "vhost-removed", vhost: name });
    return vhost;
  }

  /** Creates a queue for a lost definition; without it the journal would drop its messages as deleted. */
  #adopt(id: number): Queue | undefined {
    if (this.#adopted === undefined) return undefined;
    const definition = {
      id,
      vhost: "/",
      name: `recovered.${id}`,
      durable: true,
      exclusive: false,
      autoDelete: false,
      // One lane for each possible priority.
      arguments: { "x-max-priority": 255 },
    };
    this.addVirtualHost("/").apply({ type: "queue-added", queue: store(definition) });
    const queue = this.queues.get(id)!;
    this.#adopted.push(queue);
    return queue;
  }

  /** Changes that recreate the current definitions. */
  *#changes(): Iterable<DefinitionChange> {
    yield { type: "queue-ids-reserved", upTo: this.#reservedIds };
    if (this.#usersLost) yield { type: "users-lost" };
    for (const vhost of this.vhosts.values()) {
      yield { type: "vhost-added", vhost: vhost.name };
      yield* vhost.changes();
    }
    yield* this.users.changes();
  }

  #createQueue(definition: QueueDefinition, kind: "queue" | "delay"): Queue {
    const queue = kind === "queue"
      ? new Queue(definition, this.#host)
      : new DelayQueue(definition, this.#host);
    this.queues.set(definition.id, queue);
    return queue;
  }

  /** Ids are reserved in blocks, so that no id is used twice, even after its queue was deleted. */
  #nextQueueId(): number {
    if (this.#lastQueueId === this.#reservedIds) {
      this.#reservedIds += ID_BLOCK;
      this.#record({ type: "queue-ids-reserved", upTo: this.#reservedIds });
    }
    return ++this.#lastQueueId;
  }

  /** Writes a durable change, before the client gets its answer. */
  #record(change: DefinitionChange): void {
    if (this.#log === undefined) return;
    const { writeError } = this.#log;
    try {
      this.#log.append(change);
    } finally {
      if (this.#log.writeError !== writeError) this.#host.onRoomChange();
    }
  }

  /** Applies a change that `#record` wrote. */
  #apply(change: DefinitionChange): void {
    switch (change.type) {
      case "queue-ids-reserved":
        this.#lastQueueId = this.#reservedIds = change.upTo;
        return;
      case "users-lost":
        this.#usersLost = true;
        return;
      case "vhost-added":
        this.addVirtualHost(change.vhost); // Nothing is logged while the log is read.
        return;
      case "vhost-removed":
        this.vhosts.get(change.vhost)?.close();
        this.vhosts.delete(change.vhost);
        this.users.forgetVhost(change.vhost);
        return;
      case "queue-added":
        this.vhosts.get(change.queue.vhost)?.apply(change);
        return;
      case "exchange-added":
        this.vhosts.get(change.exchange.vhost)?.apply(change);
        return;
      case "binding-added":
      case "binding-removed":
        this.vhosts.get(change.binding.vhost)?.apply(change);
        return;
      case "queue-removed":
      case "exchange-removed":
      case "vhost-limits-put":
      case "default-queue-type-put":
      case "policy-removed":
        this.vhosts.get(change.vhost)?.apply(change);
        return;
      case "policy-put":
        this.vhosts.get(change.policy.vhost)?.apply(change);
        return;
      default:
        this.users.apply(change);
    }
  }
}
