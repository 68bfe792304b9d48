import { amqpError } from "../../amqp/amqp_error.ts";
import type { Matcher } from "./contract.ts";
import { DirectMatcher } from "./direct.ts";
import { FanoutMatcher } from "./fanout.ts";
import { HeadersMatcher } from "./headers.ts";
import { TopicMatcher } from "./topic.ts";

/** The types of exchanges that clients may declare. */
const TYPES: Readonly<Record<string, new <Destination>() => Matcher<Destination>>> = {
  direct: DirectMatcher,
  fanout: FanoutMatcher,
  headers: HeadersMatcher,
  topic: TopicMatcher,
};

export const EXCHANGE_TYPES: readonly string[] = Object.keys(TYPES);

/** @throws {AmqpError} 503: there is no such type */
export function makeMatcher<Destination>(type: string): Matcher<Destination> {
  if (!Object.hasOwn(TYPES, type)) throw amqpError(503, `unknown exchange type '${type}'`);
  return new TYPES[type]!<Destination>();
}
