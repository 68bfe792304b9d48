import { amqpError } from "../../../amqp/amqp_error.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { Matcher } from "./contract.ts";
import { DELAYED, delayedTypeOf } from "./delayed.ts";
import { DirectMatcher } from "./direct.ts";
import { FanoutMatcher } from "./fanout.ts";
import { HeadersMatcher } from "./headers.ts";
import { TopicMatcher } from "./topic.ts";

/** The exchange types that route messages themselves. */
const TYPES: Readonly<Record<string, new <Destination>() => Matcher<Destination>>> = {
  direct: DirectMatcher,
  fanout: FanoutMatcher,
  headers: HeadersMatcher,
  topic: TopicMatcher,
};

/** The exchange types that clients can declare. */
export const EXCHANGE_TYPES: readonly string[] = [...Object.keys(TYPES), DELAYED];

/** Makes the matcher of an exchange type. @throws {AmqpError} 503: the type is unknown; 406: an argument is invalid */
export function makeMatcher<Destination>(type: string, args: FieldTable): Matcher<Destination> {
  const routing = type === DELAYED ? delayedTypeOf(args, Object.keys(TYPES)) : type;
  if (!Object.hasOwn(TYPES, routing)) throw amqpError(503, `unknown exchange type '${type}'`);
  return new TYPES[routing]!<Destination>();
}
