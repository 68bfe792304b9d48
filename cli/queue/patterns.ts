/** The patterns on AMQP brokers, with the remedies of the command line in their errors. */
import { publish, push, queueOf } from "../../lib/patterns/amqp/send.ts";
import { DEFAULT_EXCHANGE } from "../../lib/patterns/amqp/send.ts";
import { pull, subscribe } from "../../lib/patterns/amqp/receive.ts";
import { reply } from "../../lib/patterns/amqp/reply.ts";
import { request } from "../../lib/patterns/amqp/request.ts";
import type { FieldTable } from "../../lib/amqp/types/field_value.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import type { Origin, OriginValues, Patterns, Sink } from "../brokers/contract.ts";
import { requireForce } from "../options/where.ts";
import { requireDeadLetters } from "./dead_letters.ts";
import { checkNames, refuseEmptyKeys, requireExchange, requireQueue } from "./existence.ts";
import { explainOffset, fromOffset, isStream, notAStream, offsetOf, startOf } from "./streams.ts";
import { argument, type BrokerTarget, targetAt } from "./target.ts";

/** What the patterns are on AMQP brokers. */
export const patterns: Patterns = {
  publish(session, address, values) {
    refuseEmptyKeys([values.topic]);
    const { name, ...target } = targetAt(session, address, values);
    return publishTo(target, name ?? DEFAULT_EXCHANGE, values.topic, values.mandatory);
  },

  push(session, address, values) {
    const { name, ...target } = targetAt(session, address, values);
    return putInto(target, queueOf({ ...target, name }), values.declare ?? false);
  },

  subscribe(session, address, values) {
    const { name = DEFAULT_EXCHANGE, ...target } = targetAt(session, address, values);
    const { brokers, link } = target;
    return {
      ...target,
      others: "drop",
      open: (events, prefetch) =>
        subscribe({ brokers, name }, {
          ...link,
          ...events,
          prefetch,
          topics: values.topic,
          matches: matchesOf(values.match ?? []),
          prepare: (connection) => requireExchange(connection, name),
        }),
    };
  },

  pull(session, address, values) {
    const { name, ...target } = targetAt(session, address, values);
    return takeFrom(session, target, queueOf({ ...target, name }), values);
  },

  request(session, address, { exchange, topic, ...values }) {
    const { name, ...target } = targetAt(session, address, values);
    const { brokers, link } = target;
    if (exchange === undefined && topic !== undefined) {
      throw new UsageError("-t is the routing key for --exchange; the address names the queue");
    }
    if (exchange !== undefined && name !== undefined) {
      throw new UsageError(`requests go to --exchange or to the queue '${name}' of the address: choose one`);
    }
    refuseEmptyKeys([topic]);
    checkNames([exchange ?? " "], "an exchange");
    const queue = exchange === undefined ? queueOf({ brokers, name }) : undefined;
    return {
      ...target,
      destination: { exchange: exchange ?? "", queue, topic },
      open: (options) =>
        request({ brokers, name: queue }, {
          ...link,
          ...options,
          prepare: (connection) =>
            queue === undefined ? requireExchange(connection, exchange!) : requireQueue(connection, queue),
        }),
    };
  },

  reply(session, address, { declare, onError, ...values }) {
    const { name, ...target } = targetAt(session, address, values);
    const { brokers, link } = target;
    const queue = queueOf({ brokers, name });
    return {
      ...target,
      open: (events, prefetch) =>
        reply({ brokers, name: queue }, {
          ...link,
          ...events,
          prefetch,
          prepare: async (connection) => {
            await requireQueue(connection, queue, declare ?? false);
            if (onError === "dead-letter") await requireDeadLetters(connection, queue, session.reporter);
          },
        }),
    };
  },
};

/** Where `pub` and `queue put --exchange` send messages. */
export function publishTo(
  target: BrokerTarget,
  exchange: string,
  topic: string | undefined,
  mandatory: boolean | undefined,
): Sink {
  const outlet = publish({ brokers: target.brokers, name: exchange }, {
    ...target.link,
    mandatory,
    prepare: (connection) => requireExchange(connection, exchange),
  });
  return { ...target, outlet, destination: { exchange, topic } };
}

/** Where `push` and `queue put` send messages. @param declare whether a missing queue is created */
export function putInto(target: BrokerTarget, queue: string, declare: boolean): Sink {
  const outlet = push({ brokers: target.brokers, name: queue }, {
    ...target.link,
    prepare: (connection) => requireQueue(connection, queue, declare),
  });
  return { ...target, outlet, destination: { exchange: "", queue } };
}

/** Where `pull` and `queue get` take messages from. */
export function takeFrom(
  session: Session,
  target: BrokerTarget,
  queue: string,
  values: OriginValues,
): Origin {
  const { brokers, link } = target;
  /** The offset at which to continue in a stream. */
  let offset = startOf(values.offset);
  let isFromStream: boolean | undefined;
  return {
    ...target,
    // A stream keeps its messages: an acknowledgement only makes room for others.
    others: offset === undefined ? "hold" : "drop",
    open: (events, prefetch) =>
      pull({ brokers, name: queue }, {
        ...link,
        ...events,
        prefetch,
        where: offset === undefined ? values.where : undefined,
        drain: values.drain,
        arguments: () => offset === undefined ? {} : fromOffset(offset),
        prepare: async (connection) => {
          await requireQueue(connection, queue, values.declare ?? false);
          if (!connection.sweeps && values.offset === undefined) requireForce(values, queue);
          if (values.onError === "dead-letter") {
            await requireDeadLetters(connection, queue, session.reporter);
          }
        },
      }),
    inspect(delivery) {
      isFromStream ??= offsetOf(delivery) !== undefined;
      const misfit = unfit(queue, isFromStream, values);
      if (misfit === undefined && isFromStream) offset = offsetOf(delivery)! + 1n;
      return misfit;
    },
    suspect: async () => await isStream(target, queue) ? unfit(queue, true, values) : undefined,
    explain: (error) => explainOffset(queue, error),
  };
}

/** Why the options do not fit the type of the queue, which its first message shows. */
function unfit(
  queue: string,
  isFromStream: boolean,
  { offset, drain, onError }: OriginValues,
): Error | undefined {
  if (!isFromStream) return offset === undefined ? undefined : notAStream(queue);
  if (drain) {
    return new Error(`'${queue}' is a stream, which is never empty: use -n or -w to end, not --drain`);
  }
  if (onError === undefined) return undefined;
  return new Error(
    `'${queue}' is a stream, which keeps its messages when they are rejected: remove --on-error`,
  );
}

/**
 * The bindings for headers. A broker compares types, too, so a number or a boolean is wanted also as a text: both are
 * what other clients send.
 */
function matchesOf(headers: readonly (readonly [name: string, value: string])[]): FieldTable[] {
  if (headers.length === 0) return [];
  const texts: FieldTable = Object.fromEntries(headers);
  const typed: FieldTable = Object.fromEntries(headers.map(([name, value]) => argument(`${name}=${value}`)));
  return headers.every(([name]) => typed[name] === texts[name]) ? [texts] : [texts, typed];
}
