import { amqpError } from "../../../amqp/amqp_error.ts";
import { type FieldTable, type FieldValue, integerOf } from "../../../amqp/types/field_value.ts";
import { resource, typeName } from "../arguments.ts";
import type { PolicyDefinition } from "../policies/policy.ts";

/** What a full queue does with a new message: drop the oldest messages, or reject the new one. */
export type Overflow = "drop-head" | "reject-publish" | "reject-publish-dlx";

/** The settings of a queue, from its arguments and the policies that apply to it. Times are in milliseconds, sizes in bytes; a limit that is not set is Infinity. */
export interface QueueSettings {
  readonly messageTtl: number;
  /** The time after which an unused queue is deleted. */
  readonly expires: number;
  readonly maxLength: number;
  readonly maxLengthBytes: number;
  readonly overflow: Overflow;
  readonly deadLetterExchange: string | undefined;
  readonly deadLetterRoutingKey: string | undefined;
  /** 0 for a queue without priorities. */
  readonly maxPriority: number;
  readonly singleActiveConsumer: boolean;
  /** The number of times a message can be given back before it is dead-lettered. */
  readonly deliveryLimit: number;
  readonly type: "classic" | "quorum";
}

/** The maximum of RabbitMQ's timers: ten years, in milliseconds. */
export const MAX_EXPIRY = 10 * 365 * 86_400_000;

type Check = (value: FieldValue, args: FieldTable) => string | undefined;

const TYPES = ["classic", "quorum"];
const OVERFLOWS = ["drop-head", "reject-publish", "reject-publish-dlx"];

const OF_STREAMS = ["x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size"];

/** Arguments that RabbitMQ supports but refuses for the queue type. */
const FOREIGN = {
  classic: [
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-quorum-initial-group-size",
    "x-queue-leader-locator",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    ...OF_STREAMS,
  ],
  quorum: ["x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator", ...OF_STREAMS],
};

/** Checks of single arguments. Each returns an error text as RabbitMQ writes it, or undefined. */
const CHECKS: Readonly<Record<string, Check>> = {
  "x-message-ttl": (value) => wholeNumber(value) ?? tooLarge(value),
  "x-expires": (value) => wholeNumber(value) ?? (integerOf(value) === 0 ? "{value_zero,0}" : tooLarge(value)),
  "x-max-length": (value) => wholeNumber(value),
  "x-max-length-bytes": (value) => wholeNumber(value),
  "x-delivery-limit": (value) => integer(value),
  "x-max-priority": (value) =>
    wholeNumber(value) ?? (integerOf(value)! > 255 ? `{max_value_exceeded,${integerOf(value)}}` : undefined),
  "x-dead-letter-exchange": text,
  "x-dead-letter-routing-key": (value, args) =>
    text(value) ?? ("x-dead-letter-exchange" in args ? undefined : "routing_key_but_no_dlx_defined"),
  "x-overflow": (value) =>
    text(value) ?? (OVERFLOWS.includes(value as string) ? undefined : "invalid_overflow"),
  "x-queue-mode": (value) => oneOf(value, ["default", "lazy"], "queue mode"),
  "x-queue-type": (value) => oneOf(value, TYPES, "queue type"),
  "x-queue-version": (value) =>
    wholeNumber(value) ?? oneOf(String(integerOf(value)), ["1", "2"], "queue version"),
  "x-single-active-consumer": (value) =>
    typeof value === "boolean" ? undefined : `{unacceptable_type,${typeName(value)}}`,
};

/**
 * Computes the settings of a queue from the arguments of `queue.declare` and its policies. For numbers, the smaller one
 * is effective. For other settings, the argument is. In quorum queues, `overflow` and `expires` of a policy come first.
 *
 * @param policy the merged definition of the policies that apply
 * @throws {AmqpError} 406: an argument is invalid, or the type is a stream
 */
export function parseSettings(
  name: string,
  vhost: string,
  args: FieldTable,
  policy: PolicyDefinition = {},
): QueueSettings {
  const what = resource("queue", name, vhost);
  if (args["x-queue-type"] === "stream") {
    throw amqpError(
      406,
      `invalid arg 'x-queue-type' for ${what}: this broker has no streams (declare it as classic or quorum)`,
    );
  }
  const type = args["x-queue-type"] === "quorum" ? "quorum" : "classic";
  for (const argument of FOREIGN[type]) {
    if (argument in args) {
      throw amqpError(406, `invalid arg '${argument}' for ${what} of queue type rabbit_${type}_queue`);
    }
  }
  for (const [argument, check] of Object.entries(CHECKS)) {
    const value = args[argument];
    if (value === undefined) continue;
    const wrong = check(value, args);
    if (wrong !== undefined) {
      throw amqpError(406, `invalid arg '${argument}' for ${what}: ${wrong}`);
    }
  }
  const argument = (key: string) => integerOf(args[`x-${key}`]);
  const fromPolicy = (key: string) => policy[key] as number | undefined;
  const smaller = (key: string) => Math.min(argument(key) ?? Infinity, fromPolicy(key) ?? Infinity);
  const ownLimit = argument("delivery-limit") ?? Infinity;
  return {
    messageTtl: smaller("message-ttl"),
    expires: (type === "quorum" ? fromPolicy("expires") : undefined) ?? smaller("expires"),
    maxLength: smaller("max-length"),
    maxLengthBytes: smaller("max-length-bytes"),
    overflow: overflowOf(
      type,
      args["x-overflow"] as Overflow | undefined,
      policy["overflow"] as Overflow | undefined,
    ),
    deadLetterExchange: (args["x-dead-letter-exchange"] ?? policy["dead-letter-exchange"]) as
      | string
      | undefined,
    deadLetterRoutingKey: (args["x-dead-letter-routing-key"] ?? policy["dead-letter-routing-key"]) as
      | string
      | undefined,
    maxPriority: argument("max-priority") ?? 0,
    singleActiveConsumer: args["x-single-active-consumer"] === true,
    deliveryLimit: Math.min(ownLimit < 0 ? Infinity : ownLimit, fromPolicy("delivery-limit") ?? Infinity),
    type,
  };
}

function overflowOf(
  type: QueueSettings["type"],
  argument: Overflow | undefined,
  policy: Overflow | undefined,
): Overflow {
  if (type === "classic" || policy === undefined) return argument ?? policy ?? "drop-head";
  // A quorum queue of RabbitMQ has no dead-lettering of rejected publishes: it falls back to the default.
  return policy === "reject-publish-dlx" ? "drop-head" : policy;
}

function integer(value: FieldValue): string | undefined {
  return integerOf(value) === undefined ? `"expected integer, got ${typeName(value)}"` : undefined;
}

function wholeNumber(value: FieldValue): string | undefined {
  return integer(value) ?? (integerOf(value)! < 0 ? `{value_negative,${integerOf(value)}}` : undefined);
}

function tooLarge(value: FieldValue): string | undefined {
  return integerOf(value)! > MAX_EXPIRY ? `{value_too_large,${integerOf(value)}}` : undefined;
}

function text(value: FieldValue): string | undefined {
  return typeof value === "string" ? undefined : `{unacceptable_type,${typeName(value)}}`;
}

function oneOf(value: FieldValue, values: readonly string[], what: string): string | undefined {
  return text(value) ?? (values.includes(value as string) ? undefined : `"unsupported ${what} '${value}'"`);
}
