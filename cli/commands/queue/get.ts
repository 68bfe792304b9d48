import examples from "../../cheats/queue-get.md" with { type: "text" };
import { command, flag, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { integer, oneOf } from "../../app/values.ts";
import { broker } from "../../options/broker.ts";
import { ending, exec, output } from "../../options/options.ts";
import { declaring, refuseEmptyNames } from "../../queue/existence.ts";
import { getAll } from "../../queue/get.ts";
import { MAX_ATTEMPTS } from "../../queue/sinks.ts";
import { parseOffset } from "../../queue/streams.ts";
import { prefetch, targetOf } from "../../queue/target.ts";
import { styleOf } from "../../records/writer.ts";

const taking = group("Delivery", {
  drain: flag("--drain", "end when the queue is empty"),
  maxAttempts: option(
    "--max-attempts <number>",
    `how often a failing --exec runs for a message, 1 s apart; 0: no limit (default: ${MAX_ATTEMPTS})`,
    integer(0),
  ),
  onError: option(
    "--on-error <what>",
    "after the last failed attempt: requeue (default; get then ends), dead-letter, or reject: the same, but " +
      "dropped where there is no dead-letter exchange",
    oneOf("requeue", "dead-letter", "reject"),
  ),
  offset: option(
    "--offset <where>",
    "where to begin in a stream: first, last, next (default), a number, or a time such as 2026-11-25T08:00:00Z",
    parseOffset,
  ),
});

export default command({
  argument: ["<queue>", "the queue to consume"],
  options: { ...broker, ...output, ...ending, ...prefetch, ...taking, ...exec, ...declaring },
  examples,
  action({ session, values, operands }) {
    if (operands.length > 1) throw new UsageError("messages are taken from one queue");
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
    refuseEmptyNames(operands);
    const style = styleOf(session, values, false);
    return getAll(session, targetOf(session, values, values.declare), operands[0]!, style, values);
  },
});
