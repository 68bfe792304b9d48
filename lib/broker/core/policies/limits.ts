/** Limits of virtual hosts and users (https://www.rabbitmq.com/vhosts.html#limits). */
import type { Json } from "../definitions/table.ts";
import { PolicyError, show } from "./policy.ts";

/** Limits by name. A negative number means no limit, as in RabbitMQ. */
export type Limits = { readonly [name: string]: number };

const NAMES = {
  vhost: ["max-connections", "max-queues"],
  user: ["max-connections", "max-channels"],
};

/**
 * Reads limits from JSON.
 *
 * @param kind the kind of object that is limited
 * @throws {RangeError} a limit is unknown, or not an integer; the message has RabbitMQ's form
 */
export function readLimits(json: { readonly [name: string]: Json }, kind: "vhost" | "user"): Limits {
  const of = kind === "vhost" ? "limits" : "user-limits";
  const mistakes: string[] = [];
  const limits: { [name: string]: number } = {};
  for (const [name, value] of Object.entries(json)) {
    if (!NAMES[kind].includes(name)) {
      mistakes.push(`Unrecognised terms [{<<"${name}">>,${show(value)}}] in ${of}`);
    } else if (!Number.isSafeInteger(value)) {
      mistakes.push(`${name} should be a number, actually was ${show(value)}`);
    } else limits[name] = value as number;
  }
  if (mistakes.length === 0) return limits;
  throw kind === "vhost" ? new PolicyError(mistakes) : new RangeError(mistakes.join("\n"));
}

/** Returns a limit; Infinity if it is not set. */
export function limitOf(limits: Limits | undefined, name: string): number {
  const limit = limits?.[name] ?? -1;
  return limit < 0 ? Infinity : limit;
}
