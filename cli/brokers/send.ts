/** The commands `pub` and `push` at a broker. */
import type { BrokerOperand } from "../options/systems.ts";
import type { Session } from "../app/session.ts";
import { startWithin } from "./link.ts";
import { messagesOf, type MessageValues } from "./pack.ts";
import { putAll, type PutOptions } from "./put.ts";
import { patternsOf, type Sink, type SinkValues } from "./systems.ts";

/** The values of the options of a command that sends to a broker. */
export type SendValues = SinkValues & MessageValues & PutOptions;

/** Sends the messages of the input to the address of a broker. */
export async function send(
  session: Session,
  pattern: "publish" | "push",
  { system, address }: BrokerOperand,
  values: SendValues,
): Promise<void> {
  const patterns = await patternsOf(system);
  await sendTo(session, patterns[pattern](session, address, values), values);
}

/** Sends the messages of the input, and waits until they are confirmed. */
export async function sendTo(
  session: Session,
  sink: Sink,
  values: MessageValues & PutOptions,
): Promise<void> {
  const { source, pack } = messagesOf(values, sink.destination);
  await startWithin(sink, values.timeout, sink.outlet.start()).catch((error) => {
    throw sink.explain?.(error) ?? error;
  });
  session.ready([sink.where]);
  await putAll(session, sink.outlet, source, pack, values);
}
