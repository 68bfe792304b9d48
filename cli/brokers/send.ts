/** The commands `pub`, `push` and `replay` at a broker. */
import { unplaced } from "../../lib/crossing/unplaced.ts";
import type { BrokerSystem } from "../../lib/patterns/address.ts";
import { type BrokerOperand, unsentParts } from "../options/systems.ts";
import type { Session } from "../app/session.ts";
import type { Source } from "../io/input.ts";
import { startWithin } from "./link.ts";
import { messagesOf, type MessageValues, type Pack, packRecords } from "./pack.ts";
import { putAll, type PutOptions } from "./put.ts";
import type { Sink, SinkValues } from "./contract.ts";
import { patternsOf } from "./systems.ts";

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
  const sink = patterns[pattern](session, address, values);
  const { source, pack } = messagesOf(session, values, sink.destination);
  await deliver(session, sink, { source, pack: reporting(session, system, pack) }, values);
}

/** Sends the messages of the input, and waits until they are confirmed. */
export async function sendTo(
  session: Session,
  sink: Sink,
  values: MessageValues & PutOptions,
): Promise<void> {
  await deliver(session, sink, messagesOf(session, values, sink.destination), values);
}

/** Sends the records of a recording to the address of a broker. */
export async function replayTo(
  session: Session,
  pattern: "publish" | "push",
  { system, address }: BrokerOperand,
  source: Source,
  values: SinkValues & PutOptions,
): Promise<void> {
  const patterns = await patternsOf(system);
  const sink = patterns[pattern](session, address, { ...values, json: true });
  const pack = packRecords({ ...sink.destination, properties: { deliveryMode: 2 } });
  await deliver(session, sink, { source, pack: reporting(session, system, pack) }, values);
}

/** Reports once what of the messages has no place in the system. */
function reporting({ reporter }: Session, system: BrokerSystem, pack: Pack): Pack {
  if (system === "amqp") return pack;
  let isReported = false;
  let last: Uint8Array | undefined;
  return (batch) => {
    const packed = pack(batch);
    for (const { properties } of isReported ? [] : [packed.envelopes].flat()) {
      // Most messages share their properties.
      if (properties === last) continue;
      last = properties;
      const names = unplaced(system, properties);
      if (names.length === 0) continue;
      isReported = true;
      reporter.warn(unsentParts(system, names));
      break;
    }
    return packed;
  };
}

async function deliver(
  session: Session,
  sink: Sink,
  { source, pack }: { readonly source: Source; readonly pack: Pack },
  values: PutOptions,
): Promise<void> {
  await startWithin(sink, values.timeout, sink.outlet.start()).catch((error) => {
    throw sink.explain?.(error) ?? error;
  });
  session.ready([sink.where]);
  await putAll(session, sink.outlet, source, pack, values);
}
