import type { Envelope, Inlet, InletEvents, Outlet } from "../contract.ts";
import type { Replier, ReplierEvents } from "../replier.ts";
import type { Requester, RequesterOptions } from "../requester.ts";
import type {
  PatternPullOptions,
  PatternReplyOptions,
  PatternRequestOptions,
  PatternSendOptions,
  PatternSubscribeOptions,
} from "./types.ts";

/** An outlet, and where a message goes: its exchange and routing key. */
export interface OpenOutlet {
  readonly outlet: Outlet;
  /** @param topic undefined for messages that are pushed */
  route(topic: string | undefined): Pick<Envelope, "exchange" | "routingKey">;
}

/** How to make a requester, and where its requests go. */
export interface OpenRequester {
  readonly route: Pick<Envelope, "exchange" | "routingKey">;
  open(options: RequesterOptions): Requester;
}

/** The patterns on one system. Each function throws an `EndpointError` for a wrong address. */
export interface SystemPatterns {
  subscribe(address: string, options: PatternSubscribeOptions & InletEvents): Inlet;
  pull(address: string, options: PatternPullOptions & InletEvents): Inlet;
  publish(address: string, options: PatternSendOptions): OpenOutlet;
  push(address: string, options: PatternSendOptions): OpenOutlet;
  request(address: string, options: PatternRequestOptions): OpenRequester;
  reply(
    address: string,
    options: PatternReplyOptions & ReplierEvents & { readonly prefetch: number },
  ): Replier;
}
