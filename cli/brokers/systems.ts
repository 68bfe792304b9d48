/** The table of the systems of brokers. */
import type { BrokerSystem } from "../../lib/patterns/address.ts";
import type { Patterns } from "./contract.ts";

/** The systems. Each one is loaded only when an address names it. */
const SYSTEMS: Readonly<Record<BrokerSystem, () => Promise<{ readonly patterns: Patterns }>>> = {
  amqp: () => import("../queue/patterns.ts"),
  mqtt: () => import("./mqtt.ts"),
  stomp: () => import("./stomp.ts"),
};

/** Loads the patterns on a system. */
export async function patternsOf(system: BrokerSystem): Promise<Patterns> {
  return (await SYSTEMS[system]()).patterns;
}
