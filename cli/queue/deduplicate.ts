/** `queue put --publisher-id`: RabbitMQ's streams store each message of a publisher once, over the stream protocol. */
import { askFirst } from "../../lib/amqp/client/http_api.ts";
import { httpUrls } from "../../lib/amqp/client/near_leader.ts";
import { queueArguments } from "../../lib/amqp/client/queues.ts";
import { StreamError } from "../../lib/amqp/client/stream/commands.ts";
import {
  formatStreamBroker,
  MAX_PUBLISHER_ID,
  StreamPublisher,
} from "../../lib/amqp/client/stream/publisher.ts";
import { type BrokerAddress, formatBroker } from "../../lib/amqp/client/url.ts";
import { MqcatError, UnreachableError } from "../../lib/errors.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import type { Sink } from "../brokers/contract.ts";
import { requireQueue } from "./existence.ts";
import { type BrokerTarget, withConnection } from "./target.ts";

/** The ports of the stream plug-in, without and with TLS. */
const PORT = 5552;
const TLS_PORT = 5551;
/** The time limit for a request to the HTTP API of each host, in milliseconds. */
const LIMIT_MS = 2000;

/**
 * Where `queue put --publisher-id` sends messages. The number of a message in the input is its publishing id.
 *
 * @param timeout the limit of `-w`, in milliseconds
 * @throws {UsageError} the broker or the queue cannot do it
 */
export async function putOnce(
  session: Session,
  target: BrokerTarget,
  stream: string,
  publisherId: string,
  timeout: number | undefined,
): Promise<Sink> {
  if (publisherId === "" || publisherId.length > MAX_PUBLISHER_ID) {
    throw new UsageError(`--publisher-id has 1 to ${MAX_PUBLISHER_ID} characters`);
  }
  await withConnection(target, async (connection) => {
    if (connection.peeks) throw cannot("this broker has no streams");
    await requireQueue(connection, stream);
    const type = (await queueArguments(connection, stream))?.["x-queue-type"] ?? "classic";
    if (type !== "stream") throw cannot(`'${stream}' is a ${type} queue`);
  }, { timeout });
  const brokers = await streamBrokers(target);
  let isReported = false;
  const outlet = new StreamPublisher(brokers, stream, {
    ...target.link,
    publisherId,
    onKnown(count) {
      if (count > 0 && !isReported) {
        session.reporter.info(
          `'${stream}' has ${messages(count)} of '${publisherId}': they are not put again`,
        );
      }
      isReported = true;
    },
  });
  return {
    ...target,
    brokers,
    where: brokers.map(formatStreamBroker).join(","),
    outlet,
    destination: { exchange: "", queue: stream },
    explain: explained,
  };
}

/** Adds remedies to an error of the first connection. */
function explained(error: unknown): unknown {
  if (error instanceof StreamError) return cannot(error.message);
  if (!(error instanceof UnreachableError)) return error;
  return new UnreachableError(`${error.message} (is the plug-in rabbitmq_stream enabled?)`, { cause: error });
}

function cannot(reason: string): UsageError {
  return new UsageError(`--publisher-id is for RabbitMQ's streams: ${reason}`);
}

/** A port of a node, as the HTTP API lists it. */
interface Listener {
  readonly protocol: string;
  readonly port: number;
}

/** The hosts with the ports of the stream protocol: those that the HTTP API lists, else the default one. */
async function streamBrokers({ brokers, link }: BrokerTarget): Promise<BrokerAddress[]> {
  const isTls = brokers[0]!.endpoint.scheme === "tls";
  let ports: number[] = [];
  try {
    const { listeners = [] } = await askFirst(httpUrls(brokers, link), brokers[0]!, "overview", LIMIT_MS) as {
      readonly listeners?: readonly Listener[];
    };
    const name = isTls ? "stream/ssl" : "stream";
    ports = listeners.filter(({ protocol }) => protocol === name).map(({ port }) => port);
    if (ports.length === 0) throw cannot("the plug-in rabbitmq_stream is not enabled");
  } catch (error) {
    if (!(error instanceof MqcatError)) throw error;
    ports = [isTls ? TLS_PORT : PORT];
  }
  const found = new Map<string, BrokerAddress>();
  for (const broker of brokers) {
    if (broker.endpoint.scheme === "inproc") continue;
    for (const port of ports) {
      const address = { ...broker, endpoint: { ...broker.endpoint, port } };
      found.set(formatBroker(address), address);
    }
  }
  return [...found.values()];
}
