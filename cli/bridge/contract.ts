/** What a bridge needs of its two sides, and the values of its options. */
import type { BridgeSink, BridgeSource } from "../../lib/patterns/bridge/readdress.ts";
import type { Inlet, InletEvents, Outlet } from "../../lib/patterns/contract.ts";
import type { Values } from "../app/command.ts";
import type { placing } from "../options/broker.ts";
import type { declaring, naming, prefetch, quality, routing, sharing } from "../options/brokers.ts";
import type { brokerContext } from "../options/context.ts";
import type { selecting } from "../options/where.ts";
import type { ProxyOptions } from "../zmq/devices.ts";
import type { TopicRule } from "./patterns.ts";

/** The values of the options of `proxy`. */
export type BridgeValues =
  & ProxyOptions
  & Values<typeof brokerContext>
  & Values<typeof declaring>
  & Values<typeof naming>
  & Values<typeof placing>
  & Values<typeof prefetch>
  & Values<typeof quality>
  & Values<typeof routing>
  & Values<typeof sharing>
  & Values<typeof selecting>
  & {
    readonly from: readonly string[];
    readonly to: readonly string[];
    readonly topic: readonly string[];
    readonly topicMap: readonly TopicRule[];
    readonly count: number | undefined;
  };

/** Where messages come from. */
export interface SourceSide extends BridgeSource {
  /** The address, for reports, and for records of systems without a broker. */
  readonly endpoint: string;
  /** Whether it delivers a message only once, so that messages that cannot be forwarded are lost. */
  readonly isLossy: boolean;
  /** Makes the inlet. @param prefetch the maximum number of unacknowledged messages */
  open(events: InletEvents, prefetch: number): Inlet;
  /** Starts the inlet. @returns the addresses for `--ready-file` */
  start(inlet: Inlet): Promise<readonly string[]>;
  /** Whether all peers have disconnected. */
  isAbandoned?(): boolean;
  /** The number of messages that do not fit a message of other systems, and are lost. */
  unfit?(): number;
}

/** Where messages go. */
export interface SinkSide extends BridgeSink {
  readonly outlet: Outlet;
  /** Starts the outlet. @returns the addresses for `--ready-file` */
  start(): Promise<readonly string[]>;
  /** The number of messages that sockets have dropped. */
  dropped?(): number;
}
