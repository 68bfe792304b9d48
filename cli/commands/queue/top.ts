import examples from "../../cheats/queue-top.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import { broker, http } from "../../options/broker.ts";
import { table } from "../../options/top.ts";
import { checkNames } from "../../queue/existence.ts";
import { watch } from "../../queue/top/watch.ts";

export default command({
  argument: ["[pattern]", "show only the queues with matching names; * stands for any text"],
  options: {
    ...broker,
    ...http,
    ...table,
    ...group("Output", {
      once: flag("--once", "print one table, with all queues, and end"),
      json: flag("-J, --json", "print each sample as one JSON object on a line"),
    }),
  },
  examples,
  action({ session, values, operands }) {
    checkNames(operands);
    return watch(session, values, { ...values, pattern: operands[0] });
  },
});
