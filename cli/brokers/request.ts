/** The command `req` at a broker. */
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { Output } from "../io/output.ts";
import type { BrokerOperand } from "../options/systems.ts";
import { type OutputOptions, styleOf } from "../records/writer.ts";
import { askAll, type AskingOptions } from "./ask.ts";
import { messagesOf, type MessageValues } from "./pack.ts";
import { queueWriter } from "./records.ts";
import type { AskedValues } from "./contract.ts";
import { patternsOf } from "./systems.ts";

/** The values of the options of `req` that concern brokers. */
export type RequestValues = AskedValues & MessageValues & OutputOptions & AskingOptions;

/** Sends the messages of the input as requests, and prints their replies. */
export async function request(
  session: Session,
  { system, address }: BrokerOperand,
  values: RequestValues,
): Promise<void> {
  const own = values.property.find((property) => /^(correlation_id|reply_to)\s*[:=]/.test(property));
  if (own !== undefined) {
    throw new UsageError(`-P '${own}': req sets this property itself, to match replies to requests`);
  }
  const output = new Output(session);
  const write = queueWriter(output, styleOf(session, values, false));
  const service = (await patternsOf(system)).request(session, address, values);
  // A requester sends a request again rather than let the broker write it to a disk.
  const messages = messagesOf(session, values, service.destination, {});
  await askAll(session, service, { ...messages, output, write }, values);
}
