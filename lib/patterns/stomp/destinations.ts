/** What the destination of an address means for each pattern. */
import { type MessageAddress, parseDestination } from "../../crossing/stomp/destination.ts";
import { EndpointError } from "../../errors.ts";

/** The exchange of topics: `/topic/KEY` is the routing key KEY there. */
export const TOPICS = "amq.topic";

/** What a destination names. */
export type Named =
  /** Nothing: the destination is empty. */
  | { readonly kind: "nothing" }
  /** A name without a kind, such as `/jobs`: a queue or a topic, as the pattern needs it. */
  | { readonly kind: "name"; readonly name: string }
  /** `/queue/NAME` or `/amq/queue/NAME`. */
  | { readonly kind: "queue"; readonly name: string }
  /** `/topic/KEY` or `/exchange/NAME/KEY`; the key is empty if it is missing. */
  | { readonly kind: "exchange"; readonly exchange: string; readonly key: string }
  /** Any other destination, for servers that have other forms. */
  | { readonly kind: "other" };

/** Reads a destination; its leading slash may be missing if it is a name. */
export function namedBy(destination: string): Named {
  if (destination === "") return { kind: "nothing" };
  const bare = /^\/?([^/]+)$/.exec(destination)?.[1];
  if (bare !== undefined) return { kind: "name", name: bare.replaceAll("%2F", "/") };
  try {
    const { kind, exchange, key } = parseDestination(destination);
    if (kind === "queue" || kind === "amqqueue") return { kind: "queue", name: key };
    return kind === "topic" || kind === "exchange" ? { kind: "exchange", exchange, key } : { kind: "other" };
  } catch {
    return { kind: "other" };
  }
}

/**
 * Where published messages go: the exchange, and the topic of messages that have none of their own. Without a
 * destination, and for a name, the exchange is that of topics.
 */
export function publishedTo(destination: string): MessageAddress {
  const named = namedBy(destination);
  switch (named.kind) {
    case "nothing":
      return { exchange: TOPICS, routingKey: "" };
    case "name":
      return { exchange: TOPICS, routingKey: named.name };
    case "queue":
      return { exchange: "", routingKey: named.name };
    case "exchange":
      return { exchange: named.exchange, routingKey: named.key };
    case "other":
      return { exchange: "", routingKey: destination };
  }
}

/**
 * The queue that messages are pushed to and pulled from.
 *
 * @returns its name, or another destination with its slash
 * @throws {EndpointError} the destination names none
 */
export function queueOf(destination: string): string {
  const named = namedBy(destination);
  switch (named.kind) {
    case "nothing":
      throw new EndpointError("The address names no queue: stomp://host/queue/jobs is the queue 'jobs'");
    case "exchange":
      throw new EndpointError(`'${destination}' is not a queue: stomp://host/queue/jobs is the queue 'jobs'`);
    case "other":
      return destination;
    default:
      return named.name;
  }
}

/**
 * The destinations of a subscription.
 *
 * @param topics patterns, or keys; without them, all messages, or those of the address
 * @throws {EndpointError} the address names a queue, or a topic in addition to `topics`
 */
export function subscribedTo(destination: string, topics: readonly string[]): readonly string[] {
  const named = namedBy(destination);
  if (named.kind === "queue") {
    throw new EndpointError(
      `'${destination}' is a queue, whose messages go to one receiver each: name a topic or an exchange, or pull the queue`,
    );
  }
  const { exchange, routingKey } = publishedTo(destination);
  if (topics.length > 0 && (routingKey !== "" || named.kind === "other")) {
    throw new EndpointError(`'${destination}' names a topic already: leave out one of the topics`);
  }
  if (named.kind === "other") return [destination];
  // For topic and fanout exchanges; a direct exchange has no pattern for all messages.
  const keys = topics.length > 0 ? topics : [routingKey || "#"];
  const escaped = keys.map((key) => key.replaceAll("/", "%2F"));
  return exchange === TOPICS
    ? escaped.map((key) => `/topic/${key}`)
    : escaped.map((key) => `/exchange/${exchange.replaceAll("/", "%2F")}/${key}`);
}
