/** The option that chooses a context. It loads no file until one is needed. */
import fs from "node:fs";
import process from "node:process";
import { brokerSystemOf } from "../../lib/patterns/address.ts";
import type { Context } from "../contexts/contract.ts";
import { group, type Option, option } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { word } from "../app/values.ts";

/** The option of all commands with a broker in use. */
export const contextOption = {
  context: {
    ...option(
      "--context <context>",
      "use the broker of this context (default: $MQCAT_CONTEXT, else see mqcat context use -h)",
      word,
    ),
    prepare: chosenContext,
  } as unknown as Option<Context | undefined>,
};

/** The same, for commands that are also for ZeroMQ. */
export const brokerContext = group("Brokers (amqp, mqtt, stomp)", contextOption);

/**
 * Finds the context of a command line, if it is about the broker in use.
 *
 * @throws {UsageError} the context does not exist, is malformed, or has no effect beside an address
 */
async function chosenContext(
  given: unknown,
  values: Readonly<Record<string, unknown>>,
  operands: readonly string[],
): Promise<Context | undefined> {
  if (!isAboutBrokerInUse(values, operands)) {
    if (given === undefined) return undefined;
    throw new UsageError(
      "--context is for amqp:NAME, mqtt:TOPIC, stomp:DESTINATION and queue commands, and not with --url or --data",
    );
  }
  const { MQCAT_CONTEXT } = process.env;
  const choice = given !== undefined
    ? { name: String(given), by: "--context" }
    : MQCAT_CONTEXT
    ? { name: MQCAT_CONTEXT, by: "$MQCAT_CONTEXT" }
    : undefined;
  const { projectFile, userFile } = await import("../contexts/files.ts");
  if (choice === undefined && !fs.existsSync(userFile()) && projectFile() === undefined) return undefined;
  const { chooseContext } = await import("../contexts/context.ts");
  return chooseContext(choice);
}

/** Whether a command line has a short address, or is a queue command without `--url` and `--data`. */
function isAboutBrokerInUse(values: Readonly<Record<string, unknown>>, operands: readonly string[]): boolean {
  const sides = ["from", "to"].flatMap((key) => Array.isArray(values[key]) ? values[key] as string[] : []);
  const addresses = [...operands, ...sides].map((address) => address.replace(/^[@>]/, ""));
  if (addresses.some((address) => brokerSystemOf(address) !== undefined && !address.includes("://"))) {
    return true;
  }
  return "url" in values && values["url"] === undefined && values["folder"] === undefined;
}
