import { amqpError } from "../../../amqp/amqp_error.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { Matcher } from "./contract.ts";
import { DELAYED, delayedTypeOf } from "./delayed.ts";
import { DirectMatcher } from "./direct.ts";
import { FanoutMatcher } from "./fanout.ts";
import { HeadersMatcher } from "./headers.ts";
import { TopicMatcher } from "./topic.ts";

/** The types of exchanges that route by themselves. */
const TYPES: Readonly<Record<string, new <Destination>() => Matcher<Destination>>> = {
  direct: DirectMatcher,
  fanout: FanoutMatcher,
  headers: HeadersMatcher,
  topic: TopicMatcher,
};

/** The types of exchanges that clients may declare. */
export const EXCHANGE_TYPES: readonly string[] = [...Object.keys(TYPES), DELAYED];

/** @throws {AmqpError} 503: there is no such type; 406: an argument that it needs is not what it must be */
export function makeMatcher<Destination>(type: string, args: FieldTable): Matcher<Destination> {
  const routing = type === DELAYED ? delayedTypeOf(args, Object.keys(TYPES)) : type;
  if (!Object.hasOwn(TYPES, routing)) throw amqpError(503, `unknown exchange type '${type}'`);
  return new TYPES[routing]!<Destination>();
}
