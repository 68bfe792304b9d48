/** What the parts of a STOMP session need of its connection and of the server. */
import type { TracedClient } from "../core/firehose.ts";
import type { StompEncoder } from "../../stomp/frame_encoder.ts";
import type { StompVersion } from "../../stomp/frame.ts";
import type { BodyBudget } from "../core/clients/body_budget.ts";
import type { DirectReplies } from "../core/clients/direct_reply.ts";
import type { QueueClient } from "../core/clients/operations.ts";
import type { Cycle } from "../core/cycle.ts";
import type { MessageIntake } from "../core/intake.ts";
import type { MessageStats } from "../core/message_stats.ts";

/** What a session needs of the server. */
export interface SessionHost {
  readonly cycle: Pick<Cycle, "now" | "wake" | "awaitConfirms" | "syncThisCycle">;
  readonly intake: MessageIntake;
  readonly directReplies: DirectReplies;
  readonly bodies: BodyBudget;
  /** Why the broker takes no messages; undefined while it does. */
  readonly blocked: string | undefined;
  /** Position of the journal after the last message, and the one up to which messages are safe. */
  readonly position: number;
  readonly safePosition: number;
}

/** What a session needs of its connection. */
export interface SessionConnection extends QueueClient, TracedClient {
  readonly encoder: StompEncoder;
  readonly version: StompVersion;
  readonly stats: MessageStats;
  /** The name of the session, which message ids contain. */
  readonly sessionId: string;
  /** Whether another message can be delivered. */
  readonly writable: boolean;
  /** Flushes the encoded frames at the end of the cycle. */
  touch(): void;
  /** Stops reading while the broker takes no messages. */
  hold(): void;
}
