/** The table of systems: each one is loaded only when an address names it. */
import { EndpointError } from "../../errors.ts";
import { type BrokerSystem, brokerSystemOf, shortName } from "../address.ts";
import type { SystemPatterns } from "./system.ts";

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
