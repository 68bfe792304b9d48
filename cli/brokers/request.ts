/** `req` for brokers: loaded only when the address is one of a broker. */
import { formatBroker } from "../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { request } from "../../lib/patterns/amqp/request.ts";
import { requireExchange } from "../../lib/patterns/amqp/send.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { Input } from "../io/input.ts";
import { Output } from "../io/output.ts";
import { repeats } from "../io/pacer.ts";
import { sourceOf, type SourceOptions } from "../io/source.ts";
import type { BrokerOperand } from "../options/systems.ts";
import { refuseEmptyKeys, requireQueue } from "../queue/existence.ts";
import { packPlain, packRecords } from "../queue/put.ts";
import { queueWriter } from "../queue/records.ts";
import { type LoginValues, targetAt } from "../queue/target.ts";
import { framingOf, splitterFor } from "../records/splitter.ts";
import { type OutputOptions, styleOf } from "../records/writer.ts";
import { askAll, type AskingOptions } from "./asking.ts";
import { propertiesOf, type PropertyValues } from "./properties.ts";

/** The values of the options of `req` that concern brokers. */
export interface RequestValues
  extends AskingOptions, SourceOptions, OutputOptions, PropertyValues, LoginValues {
  /** The exchange that requests go to, instead of the queue of the address. */
  readonly exchange: string | undefined;
  /** The routing key for the exchange. */
  readonly topic: string | undefined;
}

/** Sends requests to a queue or an exchange, and prints the replies. */
export async function requestAt(
  session: Session,
  values: RequestValues,
  { system, address }: BrokerOperand,
): Promise<void> {
  if (system !== "amqp") throw new UsageError(`req has no way to ask ${system} brokers`);
  const { exchange, topic } = values;
  const target = targetAt(session, address, values);
  const { brokers, link, name } = target;
  if (exchange === undefined && topic !== undefined) {
    throw new UsageError(
      "-t is the routing key for --exchange; a queue is reached by its name in the address",
    );
  }
  if (exchange !== undefined && name !== undefined) {
    throw new UsageError(`requests go to --exchange or to the queue '${name}' of the address: choose one`);
  }
  refuseEmptyKeys([topic]);
  if (exchange === "") throw new UsageError("--exchange '': the name must not be empty");
  const properties = propertiesOf(session.command, values, ["correlationId", "replyTo"]);
  const route = exchange === undefined
    ? { exchange: "", routingKey: name ?? "" }
    : { exchange, routingKey: topic ?? "" };
  const isJson = framingOf("--in", values.in, values) === "json";
  const fixed = values.data.length + values.file.length > 0;
  const source = isJson && !fixed
    ? new Input(0, splitterFor("lines", {}))
    : sourceOf(values, repeats(values));
  const pack = isJson && !fixed
    ? packRecords({ ...route, properties }, exchange === undefined)
    : packPlain({ ...route, properties: encodeProperties(properties) });
  const output = new Output(session);
  await askAll(
    session,
    target,
    (options) =>
      request({ brokers, name }, {
        ...link,
        ...options,
        prepare: exchange === undefined
          ? name === undefined ? undefined : async (connection) => await requireQueue(connection, name)
          : requireExchange(exchange),
      }),
    {
      source,
      pack,
      output,
      write: queueWriter(output, styleOf(session, values, false)),
      endpoint: formatBroker(brokers[0]!),
    },
    values,
  );
}
