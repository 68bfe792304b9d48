import fs from "node:fs";
import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { messageOf } from "../../errors.ts";
import { Catalog, type CatalogHost } from "./catalog.ts";
import { BodyBudget } from "./clients/body_budget.ts";
import { DirectReplies } from "./clients/direct_reply.ts";
import type { Clock } from "./clock.ts";
import { Counters } from "./counters.ts";
import { Cycle, type CycleHost } from "./cycle.ts";
import {
  clientHeaders,
  outcomeReport,
  positionText,
  type TracedClient,
  type TracedOutcome,
} from "./firehose.ts";
import { type IntakeHost, MessageIntake } from "./intake.ts";
import { Journal } from "./journal/journal.ts";
import { VirtualHostStats } from "./message_stats.ts";
import type { SyncMode } from "./journal/options.ts";
import type { DeathReason, Queue } from "./queue/queue.ts";
import type { VirtualHost } from "./topology/vhost.ts";
import { GUEST, type UserStore } from "./users/user_store.ts";

/** How the data of a broker is opened. */
export interface CoreOptions {
  /** The directory of durable data; undefined: everything is kept in memory. */
  readonly data: string | undefined;
  readonly sync: SyncMode;
  /** Time between two syncs in the mode `interval`, in milliseconds. */
  readonly syncInterval: number | undefined;
  /** Limit of transient messages in memory, in bytes. */
  readonly memoryLimit: number;
  /** Limit of the memory for bodies that are being received, in bytes. */
  readonly bodyLimit: number;
  /** Whether the user `guest` exists as long as there are no other users. */
  readonly guest: boolean;
  /** Default: that of the system. */
  readonly clock?: Clock | undefined;
  /** The size of a segment of the journal, in bytes; only tests change it. */
  readonly segmentSize?: number | undefined;
}

/** What the core reports to the server. */
export interface CoreHost {
  /** The broker takes no messages for this reason; undefined: it takes messages again. */
  onBlocked(reason: string | undefined): void;
  /** A part of the broker failed because of a bug. */
  onFailure(error: Error): void;
  /** Damaged data was found on disk and is ignored. */
  onDamage(description: string): void;
}

/**
 * Everything about a broker that does not depend on a protocol: definitions, messages, users and the cycle of work.
 * It throws `AmqpError`; each protocol server maps these errors to its own replies.
 */
export class BrokerCore implements CatalogHost, CycleHost, IntakeHost {
  readonly counters: Counters = new Counters();
  readonly cycle: Cycle;
  readonly catalog: Catalog = new Catalog(this);
  readonly intake: MessageIntake = new MessageIntake(this);
  readonly directReplies: DirectReplies = new DirectReplies();
  /** Changes when the ids of queues and the sequence numbers of messages lose their meaning. */
  readonly instance: string;
  /** The memory for bodies that are being received by all protocols. */
  readonly bodies: BodyBudget;
  /** Why the broker takes no messages; undefined while it does. */
  blocked: string | undefined;
  /** Whether the reason is the disk, which cannot store another message. */
  diskFull = false;

  /** The faults of tests: see `Faults`. */
  readonly faults: { blocked: string | undefined; isFull: boolean; refusals: number } = {
    blocked: undefined,
    isFull: false,
    refusals: 0,
  };

  readonly #host: CoreHost;
  /** Undefined during recovery of the definitions. */
  #journal: Journal | undefined;

  /**
   * Opens the data and recovers definitions and messages.
   *
   * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the data open
   */
  constructor(options: CoreOptions, host: CoreHost) {
    this.#host = host;
    this.cycle = new Cycle(this, options.clock);
    this.bodies = new BodyBudget(options.bodyLimit);
    try {
      this.#recover(options);
    } catch (error) {
      for (const queue of this.catalog.queues.values()) queue.stop();
      this.catalog.close();
      try {
        this.#journal?.close();
      } catch {
        // The first error is the reason.
      }
      throw error;
    }
    this.instance = options.data === undefined ? crypto.randomUUID() : identify(options.data);
  }

  get users(): UserStore {
    return this.catalog.users;
  }

  get vhosts(): ReadonlyMap<string, VirtualHost> {
    return this.catalog.vhosts;
  }

  get journal(): Journal {
    return this.#journal!;
  }

  get safePosition(): number {
    // A message is lost if the definition of its queue is.
    return this.catalog.writeError === undefined ? this.journal.syncedPosition : 0;
  }

  /** The counts of all virtual hosts together, also of those that were removed. */
  get stats(): VirtualHostStats {
    const sum = new VirtualHostStats();
    sum.add(this.counters.removedVhosts);
    for (const vhost of this.vhosts.values()) sum.add(vhost.stats);
    return sum;
  }

  /** Adds a virtual host, or finds the existing one. */
  addVirtualHost(name: string): VirtualHost {
    return this.catalog.addVirtualHost(name);
  }

  /** Tries again to write the definitions that could not be written. */
  retryWrites(): void {
    if (this.catalog.writeError === undefined || !this.catalog.catchUp()) return;
    this.onRoomChange();
    this.cycle.confirm();
  }

  /**
   * Writes and closes the data, and stops all timers.
   *
   * @throws {Error} definitions could not be written
   */
  close(): void {
    for (const queue of this.catalog.queues.values()) queue.stop();
    this.catalog.catchUp();
    this.catalog.close();
    this.journal.close();
    if (this.catalog.writeError !== undefined) throw this.catalog.writeError;
  }

  deadLetter(queue: Queue, message: EncodedMessage, reason: DeathReason, lane: number, seq: number): boolean {
    try {
      return this.intake.deadLetter(queue, message, reason, lane, seq);
    } catch (cause) {
      // The current input may be another client's.
      const { name, vhost } = queue.definition;
      const where = `queue '${name}' in virtual host '${vhost}'`;
      this.onFailure(
        new Error(`Cannot dead-letter a message of ${where}, which is lost: ${messageOf(cause)}`, { cause }),
      );
      return false;
    }
  }

  isTraced(queue: Queue): boolean {
    return this.vhosts.get(queue.definition.vhost)?.isTraced ?? false;
  }

  traceDelivery(
    queue: Queue,
    message: EncodedMessage,
    lane: number,
    seq: number,
    client?: TracedClient,
  ): void {
    const { name, vhost } = queue.definition;
    const headers = {
      vhost,
      ...clientHeaders(client),
      redelivered: queue.lanes[lane]!.isRedelivered(seq) ? 1 : 0,
      mqcat_position: positionText(lane, seq),
    };
    this.intake.trace(this.vhosts.get(vhost)!, `deliver.${name}`, message, headers);
  }

  traceOutcome(queue: Queue, outcome: TracedOutcome, lane: number, seq: number, client?: TracedClient): void {
    const { name, vhost: vhostName } = queue.definition;
    const vhost = this.vhosts.get(vhostName);
    // A message of the trace itself is not reported, and nobody needs to look at each outcome to know that.
    if (vhost === undefined || !vhost.reportsOutcomes || vhost.isTraceQueue(queue)) return;
    const headers = { vhost: vhostName, ...clientHeaders(client), mqcat_position: positionText(lane, seq) };
    this.intake.report(vhost, outcomeReport(`${outcome}.${name}`, headers));
  }

  forward(queue: Queue, message: EncodedMessage, seq: number): boolean {
    return this.intake.forward(queue, message, seq);
  }

  deleteQueue(queue: Queue): void {
    const { name, vhost } = queue.definition;
    try {
      this.vhosts.get(vhost)?.removeQueue(queue);
    } catch (cause) {
      // No client waits for an answer. The queue is gone in memory, and `retryWrites` writes that later.
      const where = `queue '${name}' in virtual host '${vhost}'`;
      this.onFailure(new Error(`Cannot write the deletion of ${where}: ${messageOf(cause)}`, { cause }));
    }
  }

  forget(queue: Queue): void {
    const { id } = queue.definition;
    this.counters.countDeleted(queue.settings.type, queue.stats);
    this.catalog.queues.delete(id);
    this.#journal?.forget(id);
  }

  onRefused(): void {
    if (this.faults.refusals > 0 && --this.faults.refusals === 0) this.onRoomChange();
  }

  onFailure(error: Error): void {
    this.#host.onFailure(error);
  }

  /** Blocks or unblocks publishers, by the state of disk and memory. */
  onRoomChange(): void {
    const unwritten = this.journal.full ?? this.catalog.writeError;
    const { faults } = this;
    this.diskFull = unwritten !== undefined || faults.isFull || faults.refusals > 0;
    const reason = unwritten !== undefined
      ? `the disk takes no more: ${unwritten.message}`
      : this.cycle.memoryFull
      ? "the memory for messages is full"
      : faults.isFull
      ? "the disk takes no more: it is full for a test"
      : faults.blocked;
    if (reason === this.blocked) return;
    this.blocked = reason;
    this.cycle.begin();
    try {
      this.#host.onBlocked(reason);
    } finally {
      this.cycle.end();
    }
  }

  /** Recovers the definitions, then the messages. */
  #recover({ data, sync, syncInterval, memoryLimit, guest, segmentSize }: CoreOptions): void {
    const onProblem = (description: string) => this.#host.onDamage(description);
    this.#journal = Journal.open({
      directory: data,
      sync,
      syncInterval,
      segmentSize,
      memorySize: memoryLimit,
      onSynced: () => this.cycle.confirm(),
      onFullChange: () => this.onRoomChange(),
      onProblem,
    }, {
      opened: (state) => this.catalog.open(data!, sync === "confirm", state, onProblem),
      lane: (queueId, lane) => this.catalog.queueOf(queueId)?.lanes[lane],
      restored: () => this.catalog.recovered(onProblem),
      lanes: () => this.catalog.durableLanes(),
      nameOf: (queueId) => this.catalog.nameOf(queueId),
    });
    this.catalog.addVirtualHost("/");
    this.#updateGuest(guest, onProblem);
    this.cycle.begin();
    for (const queue of this.catalog.queues.values()) queue.recovered();
    this.cycle.end();
  }

  /**
   * Adds the user `guest` to a broker without users. Removes it, while it has the well-known password, if it is not
   * wanted, or if definitions are lost, because one of them may have removed it.
   */
  #updateGuest(wanted: boolean, onProblem: (description: string) => void): void {
    const { users } = this;
    const { usersLost, definitionsLost } = this.catalog;
    const isOpen = users.authenticate(GUEST, new TextEncoder().encode(GUEST), true) === undefined;
    if ((!wanted || definitionsLost) && isOpen) users.remove(GUEST);
    if (users.size > 0) return;
    if (wanted && !usersLost) {
      users.put(GUEST, GUEST, ["administrator"]);
      users.permit(GUEST, "/", { configure: ".*", write: ".*", read: ".*" });
    } else if (wanted) {
      onProblem(
        "The definitions of users are lost, and the user 'guest' is not added in their place: nobody can log in until you add a user",
      );
    }
  }
}

/** Tells a data directory from all others, also from one with the same path before. */
function identify(directory: string): string {
  const { dev, ino, birthtimeMs } = fs.statSync(directory);
  return `${dev}-${ino}-${birthtimeMs}`;
}
