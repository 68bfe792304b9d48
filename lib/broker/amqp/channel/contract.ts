/** What the parts of a channel need of the channel, its connection and the server. */
import type { TracedClient } from "../../core/firehose.ts";
import type { AmqpError } from "../../../amqp/amqp_error.ts";
import type { FrameEncoder } from "../../../amqp/frames/frame_encoder.ts";
import type { GivenArgs, MethodName } from "../../../amqp/method_args.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { Cycle } from "../../core/cycle.ts";
import type { MessageIntake } from "../../core/intake.ts";
import type { MessageStats } from "../../core/message_stats.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { VirtualHost } from "../../core/topology/vhost.ts";
import type { Access, UserStore } from "../../core/users/user_store.ts";
import type { BodyBudget } from "../../core/clients/body_budget.ts";
import type { DirectReplies } from "../../core/clients/direct_reply.ts";
import type { Transaction } from "./transaction.ts";

/** What a channel needs of the server. */
export interface ChannelHost {
  readonly cycle: Pick<Cycle, "now" | "wake" | "begin" | "end" | "awaitConfirms" | "syncThisCycle">;
  readonly intake: MessageIntake;
  readonly directReplies: DirectReplies;
  /** The name of the broker's node. */
  readonly node: string;
  readonly users: Pick<UserStore, "get">;
  /** See `BrokerCore.instance`. */
  readonly instance: string;
  /** The largest body, in bytes. */
  readonly maxMessageSize: number;
  readonly bodies: BodyBudget;
  /** Why the broker takes no messages; undefined while it does. */
  readonly blocked: string | undefined;
  /** Whether the reason is the disk, which cannot store another message. */
  readonly diskFull: boolean;
  /** Position of the journal after the last message, and the one up to which messages are safe. */
  readonly position: number;
  readonly safePosition: number;
  /** An error closed a channel. */
  onChannelError(remote: string, channel: number, error: Error): void;
}

/** What a channel needs of its connection. */
export interface ChannelConnection extends TracedClient {
  readonly encoder: FrameEncoder;
  readonly vhost: VirtualHost;
  readonly user: string;
  readonly access: Access;
  readonly clientProperties: FieldTable;
  readonly remote: string;
  /** Queues that only this connection may use. */
  readonly exclusiveQueues: Set<Queue>;
  /** Whether another message can be delivered. */
  readonly writable: boolean;
  readonly frameMax: number;
  /** The part of `BodyBudget` that its channels use, in bytes. */
  reserved: number;
  /** Stops reading until there is memory for the body of a message, or reads again. */
  waitForRoom(waits: boolean): void;
  /** Flushes the encoded frames at the end of the cycle. */
  touch(): void;
  /** Stops reading while the broker takes no messages. */
  hold(reason: string): void;
  /** Closes the connection with an error. */
  fail(error: AmqpError): void;
  /** A channel is closed, and its number is free. */
  forgetChannel(number: number): void;
}

/** What the parts of a channel need of it. */
export interface ChannelContext {
  readonly connection: ChannelConnection;
  readonly host: ChannelHost;
  readonly number: number;
  readonly stats: MessageStats;
  /** The transaction, once `tx.select` was called. */
  readonly transaction: Transaction | undefined;
  /** Sends a method on the channel. */
  send<Name extends MethodName>(name: Name, args: GivenArgs<Name>): void;
}

/** How a turn of a job ended: it is complete, it waits for room on the connection, or it needs another turn. */
export type JobState = "done" | "blocked" | "paused";

/** Work for a client that takes several turns of the event loop. */
export interface ChannelJob {
  /** The consumer tag, with which a client can cancel it. */
  readonly tag: string;
  /** Works for a short time, within a cycle. It must not throw. */
  run(): JobState;
}
