import type { Envelope, Inlet, InletEvents, Outlet } from "../contract.ts";
import type { PatternPullOptions, PatternSendOptions, PatternSubscribeOptions } from "./types.ts";

/** An outlet, and where a message goes: its exchange and routing key. */
export interface OpenOutlet {
  readonly outlet: Outlet;
  /** @param topic undefined for messages that are pushed */
  route(topic: string | undefined): Pick<Envelope, "exchange" | "routingKey">;
}

/** The patterns on one system. Each function throws an `EndpointError` for a wrong address. */
export interface SystemPatterns {
  subscribe(address: string, options: PatternSubscribeOptions & InletEvents): Inlet;
  pull(address: string, options: PatternPullOptions & InletEvents): Inlet;
  publish(address: string, options: PatternSendOptions): OpenOutlet;
  push(address: string, options: PatternSendOptions): OpenOutlet;
}
