/** The options for filters, and what becomes of the messages that do not match. */
import type { Filter } from "../../lib/filter/filter.ts";
import type { Selection } from "../../lib/patterns/selected_inlet.ts";
import { flag, group, option, rare } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { word } from "../app/values.ts";

/** The filter of the commands that receive messages. */
export const where = group("Messages", {
  where: option(
    "--where <filter>",
    "only messages that match, such as 'topic =~ \"^eu\" and size > 1k'",
    word,
  ),
});

/** The filter of the commands that take messages from queues. */
export const selecting = {
  ...where,
  ...rare(group("Messages", {
    force: flag(
      "--force",
      "with --where at a broker without filters (RabbitMQ): receive all messages, and requeue those that do not match",
    ),
  })),
};

/** The values of these options. */
export interface WhereValues {
  readonly where?: string | undefined;
  readonly force?: boolean | undefined;
}

/**
 * Compiles the filter of `--where`. The language is loaded only when it is needed.
 *
 * @returns undefined without the option
 * @throws {FilterError} the filter is malformed
 */
export async function filterOf({ where }: WhereValues): Promise<Filter | undefined> {
  if (where === undefined) return undefined;
  const { compileFilter } = await import("../../lib/filter/filter.ts");
  return compileFilter(where);
}

/**
 * The selection of `--where`.
 *
 * @param others what happens to the messages that do not match
 * @returns undefined without the option
 * @throws {FilterError} the filter is malformed
 */
export async function selectionOf(
  values: WhereValues,
  others: Selection["others"],
): Promise<Selection | undefined> {
  const filter = await filterOf(values);
  if (filter === undefined) return undefined;
  const { Selection } = await import("../../lib/patterns/selected_inlet.ts");
  return new Selection(filter, others);
}

/** What taking selected messages does where the broker has no filters. */
const EFFECTS =
  "the others return to their places when the command ends, marked as redelivered; a quorum queue counts a " +
  "delivery of each, and drops or dead-letters those beyond its delivery limit; other consumers do not get them meanwhile";

/** @throws {UsageError} the broker has no filters, and `--force` was not given */
export function requireForce({ where, force }: WhereValues, queue: string): void {
  if (where === undefined || force) return;
  throw new UsageError(
    `this broker has no filters, so --where has to receive all messages of '${queue}': ${EFFECTS} (--force does it)`,
  );
}

/** Reports the messages that did not match and were returned to their queue. */
export function reportHeld({ reporter }: Session, selection: Selection | undefined): void {
  if (selection === undefined || selection.held === 0) return;
  reporter.warn(
    `${
      messages(selection.held)
    } did not match and went back: marked as redelivered, and counted by a quorum queue`,
  );
}
