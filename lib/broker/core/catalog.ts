import { type DelayHost, DelayQueue } from "./queue/delay_queue.ts";
import { Queue } from "./queue/queue.ts";
import { messageOf } from "../../errors.ts";
import { DefinitionsLog } from "./journal/definitions_log.ts";
import type { DirectoryState } from "./journal/options.ts";
import type { Lane } from "./queue/lane.ts";
import { type DefinitionChange, type QueueDefinition, store } from "./topology/definition_change.ts";
import { UserStore } from "./users/user_store.ts";
import { VirtualHost } from "./topology/vhost.ts";

/** Queue ids that are reserved at a time. */
const ID_BLOCK = 1024;

/** What a catalog needs of the broker around it. */
export interface CatalogHost extends DelayHost {
  /** Something that is to survive cannot be written down, or all of it is again. */
  onRoomChange(): void;
}

/**
 * Everything that a broker knows by definition: virtual hosts with their queues, exchanges and bindings, and users.
 * What is to survive is written down change by change, and made anew from that at the next start, before the messages.
 */
export class Catalog {
  readonly users: UserStore = new UserStore((change) => this.#record(change));
  readonly vhosts: Map<string, VirtualHost> = new Map();
  /** Every queue, by the id that the journal has of it. */
  readonly queues: Map<number, Queue> = new Map();

  readonly #host: CatalogHost;
  #log: DefinitionsLog | undefined;
  /** While messages are read: queues for those whose own one nobody knows any more. */
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

  /** Why something that is to survive is not written down, in words; undefined: all of it is. */
  get writeError(): Error | undefined {
    return this.#log?.writeError;
  }

  /**
   * Makes everything anew, and writes down from now on what changes.
   *
   * @param sync whether each change is on disk before it is answered
   * @param onProblem told in words of what is damaged
   */
  open(directory: string, sync: boolean, state: DirectoryState, onProblem: (what: string) => void): void {
    this.#log = DefinitionsLog.open({
      directory,
      sync,
      snapshot: () => this.#changes(),
      mustExist: state.used,
      changed: state.definitionsChanged,
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

  /** The queue of a message that the journal brings back; undefined when it was deleted. */
  queueOf(id: number): Queue | undefined {
    return this.queues.get(id) ?? this.#adopt(id);
  }

  /**
   * All messages were brought back. Of the queues whose definition is lost those that have messages stay; the others
   * were deleted, and only acknowledgements spoke of them.
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
  }

  /** Tries again to write down what could not be; returns whether that is all of it. */
  catchUp(): boolean {
    return this.#log === undefined || this.#log.catchUp();
  }

  close(): void {
    this.#log?.close();
  }

  /** Adds a virtual host; one that is there stays as it is. */
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

  /** Removes a virtual host with everything in it; undefined when there is none. */
  removeVirtualHost(name: string): VirtualHost | undefined {
    const vhost = this.vhosts.get(name);
    if (vhost === undefined) return undefined;
    this.vhosts.delete(name);
    vhost.close();
    this.users.forgetVhost(name);
    this.#record({ type: "vhost-removed", vhost: name });
    return vhost;
  }

  /** A queue whose definition is lost: without one the journal would take its messages for those of a deleted queue. */
  #adopt(id: number): Queue | undefined {
    if (this.#adopted === undefined) return undefined;
    const definition = {
      id,
      vhost: "/",
      name: `recovered.${id}`,
      durable: true,
      exclusive: false,
      autoDelete: false,
      // A lane for each priority that its messages may have.
      arguments: { "x-max-priority": 255 },
    };
    this.addVirtualHost("/").apply({ type: "queue-added", queue: store(definition) });
    const queue = this.queues.get(id)!;
    this.#adopted.push(queue);
    return queue;
  }

  /** All changes that lead to what there is. */
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

  /** Ids are reserved in blocks, so that none is given twice though nobody remembers a queue that was deleted. */
  #nextQueueId(): number {
    if (this.#lastQueueId === this.#reservedIds) {
      this.#reservedIds += ID_BLOCK;
      this.#record({ type: "queue-ids-reserved", upTo: this.#reservedIds });
    }
    return ++this.#lastQueueId;
  }

  /** Writes down what is to survive, before the client has an answer. */
  #record(change: DefinitionChange): void {
    if (this.#log === undefined) return;
    const { writeError } = this.#log;
    try {
      this.#log.append(change);
    } finally {
      if (this.#log.writeError !== writeError) this.#host.onRoomChange();
    }
  }

  /** Does again what `#record` wrote down. */
  #apply(change: DefinitionChange): void {
    switch (change.type) {
      case "queue-ids-reserved":
        this.#lastQueueId = this.#reservedIds = change.upTo;
        return;
      case "users-lost":
        this.#usersLost = true;
        return;
      case "vhost-added":
        this.addVirtualHost(change.vhost); // Nothing is written down while the log is being read.
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
        this.vhosts.get(change.vhost)?.apply(change);
        return;
      default:
        this.users.apply(change);
    }
  }
}
