/** The commands `sub` and `pull` at a broker. */
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { checkExec } from "../io/exec.ts";
import type { BrokerOperand } from "../options/systems.ts";
import { statsOf } from "../records/stats.ts";
import { type OutputOptions, styleOf } from "../records/writer.ts";
import { getAll, type GetOptions } from "./get.ts";
import type { OriginValues } from "./contract.ts";
import { patternsOf } from "./systems.ts";

/** The values of the options of a command that receives from a broker. */
export type ReceiveValues = OriginValues & OutputOptions & GetOptions & {
  readonly separator?: string | undefined;
  readonly stats?: boolean | undefined;
};

/** Prints copies of published messages, or runs a command for each. */
export async function subscribe(
  session: Session,
  { system, address }: BrokerOperand,
  values: ReceiveValues,
): Promise<void> {
  checkExec(values);
  const separator = values.separator === undefined ? undefined : utf8(values.separator);
  const counts = await statsOf(session, values);
  const style = {
    ...styleOf(session, values, true, separator),
    ...(counts === undefined ? {} : { stats: { counts, prefixes: [] } }),
  };
  const patterns = await patternsOf(system);
  // No other receiver could process the message, and a repetition is for work that must be done.
  const options = { ...values, maxAttempts: 1, onError: "drop" } as const;
  await getAll(session, patterns.subscribe(session, address, values), style, options);
}

/** Takes messages, and prints them or runs a command for each. */
export async function pull(
  session: Session,
  { system, address }: BrokerOperand,
  values: ReceiveValues,
): Promise<void> {
  checkExec(values);
  checkTaking(values);
  if (system !== "amqp" && values.onError === "dead-letter") {
    throw new UsageError(
      "--on-error dead-letter is for AMQP, where it makes sure that there is a dead-letter exchange: use reject",
    );
  }
  const style = styleOf(session, values, false);
  const patterns = await patternsOf(system);
  await getAll(session, patterns.pull(session, address, values), style, values);
}

/** @throws {UsageError} options about taken messages contradict each other */
export function checkTaking(values: OriginValues & GetOptions): void {
  if (values.onError !== undefined && values.exec === undefined) {
    throw new UsageError(
      "--on-error needs --exec: it decides what happens to a message whose command failed",
    );
  }
  if (values.maxAttempts !== undefined && values.exec === undefined) {
    throw new UsageError(
      "--max-attempts limits how often --exec runs for a message, and there is no --exec",
    );
  }
  if (values.offset !== undefined && values.drain) {
    throw new UsageError("--offset is for streams, which are never empty: -n or -w ends it, not --drain");
  }
  if (values.offset !== undefined && values.declare) {
    throw new UsageError("--declare does not create streams (mqcat queue declare --type stream does)");
  }
}
