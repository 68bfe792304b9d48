/** The patterns on each system as the library's functions use them. */
import { EndpointError } from "../../errors.ts";
import { type BrokerSystem, brokerSystemOf, shortName } from "../address.ts";
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

/** Each system is loaded only when an address names it. */
const SYSTEMS: Readonly<Record<BrokerSystem | "zmq", () => Promise<{ readonly patterns: SystemPatterns }>>> =
  {
    amqp: () => import("./amqp.ts"),
    mqtt: () => import("./mqtt.ts"),
    stomp: () => import("./stomp.ts"),
    zmq: () => import("./zmq.ts"),
  };

/** Loads the patterns on the system of an address. */
export async function patternsOf(address: string): Promise<SystemPatterns> {
  const system = brokerSystemOf(address);
  if (system !== undefined && shortName(address) !== undefined) {
    throw new EndpointError(`The address '${address}' names no host: write ${system}://host/…`);
  }
  return (await SYSTEMS[system ?? "zmq"]()).patterns;
}
