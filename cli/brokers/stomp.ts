/** The patterns on STOMP servers, as the commands need them. */
import type { LinkOptions } from "../../lib/link/options.ts";
import { shortName } from "../../lib/patterns/address.ts";
import { publishedTo, queueOf } from "../../lib/patterns/stomp/destinations.ts";
import { pull, subscribe } from "../../lib/patterns/stomp/receive.ts";
import { reply } from "../../lib/patterns/stomp/reply.ts";
import { request, requestedAt } from "../../lib/patterns/stomp/request.ts";
import { publish, push } from "../../lib/patterns/stomp/send.ts";
import {
  DEFAULT_STOMP_URL,
  formatStomp,
  parseStompAddress,
  type StompAddress,
} from "../../lib/stomp/client/url.ts";
import { StompError } from "../../lib/stomp/stomp_error.ts";
import { UsageError } from "../app/errors.ts";
import { requireForce } from "../options/where.ts";
import type { Session } from "../app/session.ts";
import { type LoginValues, placeOf, reach, type Target } from "./link.ts";
import type { Patterns } from "./contract.ts";

/** The largest limit of unacknowledged messages. */
const MOST_PREFETCHED = 65535;

/** What the patterns are on STOMP servers. */
export const patterns: Patterns = {
  publish(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    const { exchange, routingKey } = publishedTo(to.destination);
    if (routingKey !== "" && values.topic !== undefined) {
      throw new UsageError(
        `the address names the topic '${routingKey}' already: remove it there, or remove -t`,
      );
    }
    const topic = routingKey || values.topic;
    if (topic === undefined && values.separator === undefined && !values.json) {
      throw new UsageError(
        "the topic is missing: name it in the address, stomp://host/topic/NAME, or with -t",
      );
    }
    return { ...target, outlet: publish(to, link), destination: { exchange, topic } };
  },

  push(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    const outlet = push(to, { ...link, declare: values.declare });
    const queue = queueOf(to.destination);
    return { ...target, outlet, destination: { exchange: "", queue }, explain: missing(queue) };
  },

  subscribe(session, address, values) {
    if (values.prefetch !== undefined) {
      throw new UsageError("--prefetch is not for sub over STOMP, whose messages are not acknowledged");
    }
    const { to, link, ...target } = targetAt(session, address, values);
    return {
      ...target,
      others: "drop",
      open: (events) => subscribe(to, { ...link, ...events, topics: values.topic }),
    };
  },

  pull(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    requireForce(values, queueOf(to.destination));
    return {
      ...target,
      others: "hold",
      open: (events, prefetch) =>
        pull(to, {
          ...link,
          ...events,
          declare: values.declare,
          // Messages that do not match stay unacknowledged.
          prefetch: values.where === undefined ? prefetch : MOST_PREFETCHED,
        }),
      explain: missing(queueOf(to.destination)),
    };
  },

  request(session, address, values) {
    if (values.topic !== undefined) {
      throw new UsageError(
        "-t is the routing key for --exchange; the address names it: stomp://host/topic/KEY",
      );
    }
    const { to, link, ...target } = targetAt(session, address, values);
    const { exchange, routingKey } = requestedAt(to.destination);
    return {
      ...target,
      destination: { exchange, queue: routingKey },
      open: (options) => request(to, { ...link, ...options }),
      explain: missing(routingKey, ""),
    };
  },

  reply(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    return {
      ...target,
      open: (events, prefetch) => reply(to, { ...link, ...events, declare: values.declare, prefetch }),
      explain: missing(queueOf(to.destination)),
    };
  },
};

/** Names the missing queue in an error, and the remedy. */
function missing(queue: string, remedy = "; --declare creates it"): (error: unknown) => unknown {
  return (error) =>
    error instanceof StompError && /not.found/i.test(error.summary)
      ? new Error(`there is no queue '${queue}'${remedy}`, { cause: error })
      : error;
}

/** The servers and the destination of an address: `stomp://host/queue/jobs`, or `stomp:/queue/jobs` at the broker in use. */
function targetAt(
  session: Session,
  address: string,
  values: LoginValues,
): Target & { readonly to: StompAddress; readonly link: LinkOptions } {
  const short = shortName(address);
  const { url, login } = placeOf(
    "stomp",
    short === undefined ? address : undefined,
    DEFAULT_STOMP_URL,
    values,
  );
  const { servers, destination } = parseStompAddress(url);
  const { brokers, ...target } = reach(session, "stomp", servers, formatStomp, login);
  return { ...target, brokers, to: { servers: brokers, destination: short ?? destination } };
}
