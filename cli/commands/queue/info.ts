import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import {
  deliveryLimitOf,
  managementUrl,
  type QueueInfo,
  queueInfo,
} from "../../../lib/amqp/client/management.ts";
import { inspectQueues } from "../../../lib/amqp/client/peek.ts";
import type { BrokerAddress } from "../../../lib/amqp/client/url.ts";
import { messageOf, UnreachableError } from "../../../lib/errors.ts";
import examples from "../../cheats/queue-info.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import type { Session } from "../../app/session.ts";
import { broker, http } from "../../options/broker.ts";
import { checkNames, requireQueue } from "../../queue/existence.ts";
import { httpOf, targetOf, withConnection } from "../../queue/target.ts";
import { print } from "./print.ts";

type Facts = Record<string, unknown>;

/** The fields of the HTTP API that are shown. */
const SHOWN = [
  "vhost",
  "type",
  "durable",
  "auto_delete",
  "exclusive",
  "arguments",
  "state",
  "message_bytes",
  "node",
  "leader",
  "members",
  "online",
  "delivery_limit",
];

export default command({
  argument: ["<queue>", "the queue"],
  options: {
    ...broker,
    ...http,
    ...group("Output", { json: flag("-J, --json", "print the properties as one JSON object") }),
  },
  examples,
  action({ session, values, operands }) {
    checkNames(operands);
    const queue = operands[0]!;
    const target = targetOf(session, values);
    return withConnection(target, async (connection) => {
      const state = await requireQueue(connection, queue);
      const facts: Facts = {
        name: queue,
        messages_ready: state.messageCount,
        consumers: state.consumerCount,
        ...shown(await more(session, connection, target.brokers, httpOf(values), queue)),
      };
      const lines = values.json ? [JSON.stringify(facts)] : Object.entries(facts).map(describe);
      await print(session, lines);
    });
  },
});

/** Adds the figures of our own broker, else of the HTTP API; without both only AMQP's figures are known. */
async function more(
  session: Session,
  connection: AmqpConnection,
  brokers: readonly BrokerAddress[],
  http: readonly string[] | undefined,
  queue: string,
): Promise<Facts> {
  if (http === undefined && connection.peeks) {
    return placed((await inspectQueues(connection)).find(({ name }) => name === queue));
  }
  try {
    return placed(await queueInfo(http ?? brokers.map(managementUrl), brokers[0]!, queue));
  } catch (error) {
    if (http !== undefined || !(error instanceof UnreachableError)) throw error;
    session.reporter.warn(`showing only the figures of AMQP: ${messageOf(error)}`);
    return {};
  }
}

/** Adds the leader of a stream, which RabbitMQ calls its node, and the delivery limit that applies. */
function placed(info: QueueInfo | undefined): Facts {
  if (info === undefined) return {};
  const { node, ...facts } = info;
  if (info.type !== "quorum" && info.type !== "stream") return { ...info };
  const limit = deliveryLimitOf(info);
  return {
    leader: node,
    ...facts,
    ...(limit === undefined ? {} : { delivery_limit: limit }),
  };
}

function shown(facts: Facts): Facts {
  return Object.fromEntries(
    SHOWN.filter((name) => facts[name] !== undefined).map((name) => [name, facts[name]]),
  );
}

function describe([name, value]: [string, unknown]): string {
  return `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`;
}
