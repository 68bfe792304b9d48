/** `rep` for brokers: loaded only when the address is one of a broker. */
import { formatBroker } from "../../lib/amqp/client/url.ts";
import { type BasicProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { reply } from "../../lib/patterns/amqp/reply.ts";
import { queueOf } from "../../lib/patterns/amqp/send.ts";
import type { Request } from "../../lib/patterns/replier.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import type { Responder } from "../io/answering.ts";
import { Input } from "../io/input.ts";
import { Output } from "../io/output.ts";
import { sourceOf, type SourceOptions } from "../io/source.ts";
import type { BrokerOperand } from "../options/systems.ts";
import { requireDeadLetters } from "../queue/dead_letters.ts";
import { requireQueue } from "../queue/existence.ts";
import { packPlain, packRecords } from "../queue/put.ts";
import { queueWriter } from "../queue/records.ts";
import { type LoginValues, targetAt } from "../queue/target.ts";
import { framingOf, splitterFor } from "../records/splitter.ts";
import { type OutputOptions, styleOf } from "../records/writer.ts";
import { propertiesOf, type PropertyValues } from "./properties.ts";
import { echo, execute, recite, Replies, replyAll, type ReplyOptions } from "./replying.ts";

/** The most requests that wait for their turn with `--echo`. */
const PREFETCH = 100;

/** The values of the options of `rep` that concern brokers. */
export interface ReplyValues extends ReplyOptions, SourceOptions, OutputOptions, PropertyValues, LoginValues {
  readonly declare: boolean | undefined;
  readonly echo: boolean | undefined;
  readonly exec: string | undefined;
  readonly jobs: number | undefined;
  readonly maxAttempts: number | undefined;
}

/** Answers the requests of a queue. */
export async function replyAt(
  session: Session,
  values: ReplyValues,
  { system, address }: BrokerOperand,
): Promise<void> {
  if (system !== "amqp") throw new UsageError(`rep has no way to serve ${system} brokers`);
  const target = targetAt(session, address, values);
  const { brokers, link, name } = target;
  const queue = queueOf({ brokers, name });
  const endpoint = formatBroker(brokers[0]!);
  const properties = propertiesOf(session.command, values, ["correlationId"]);
  const prefetch = Math.min(values.echo ? PREFETCH : values.jobs ?? 1, values.count ?? Infinity);
  const replies = new Replies(
    session,
    (events) =>
      reply({ brokers, name }, {
        ...link,
        ...events,
        prefetch,
        prepare: async (connection) => {
          await requireQueue(connection, queue, values.declare ?? false);
          if (values.onError === "dead-letter") await requireDeadLetters(connection, queue, session.reporter);
        },
      }),
    properties,
    values.onError,
  );
  const responder = responderFor(session, replies, endpoint, values, properties);
  await replyAll(replies, target, responder, endpoint, values);
}

function responderFor(
  session: Session,
  replies: Replies,
  endpoint: string,
  values: ReplyValues,
  properties: BasicProperties,
): Responder<Request> {
  const output = new Output(session);
  if (values.echo) return echo(replies, output);
  if (values.exec !== undefined) return execute(replies, output, values.exec, endpoint, values);
  const fixed = values.data.length + values.file.length > 0;
  const isJson = !fixed && framingOf("--in", values.in, values) === "json";
  const source = isJson ? new Input(0, splitterFor("lines", {})) : sourceOf(values, fixed);
  const pack = isJson
    ? packRecords({ exchange: "", routingKey: "", properties }, false)
    : packPlain({ exchange: "", routingKey: "", properties: encodeProperties(properties) });
  const write = queueWriter(output, styleOf(session, values, false));
  return recite(replies, output, write, endpoint, source, pack);
}
