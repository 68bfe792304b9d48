import { groupOf } from "../../lib/zmq/group.ts";
import { Radio } from "../../lib/zmq/types/radio.ts";
import examples from "../cheats/radio.md" with { type: "text" };
import { command, group, option } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { separator, word } from "../app/values.ts";
import { publish, publishing } from "../zmq/publish.ts";

const groups = group("Messages", {
  group: option("-g, --group <name>", "send each message to this group", word),
  separator: option(
    "-K, --key-separator <text>",
    "the separator of group and body in each line; -g is the group of lines without it",
    separator,
  ),
});

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: { ...publishing, ...groups },
  examples,
  action(invocation) {
    const { group, separator, json } = invocation.values;
    if (group === undefined && separator === undefined && !json) {
      throw new UsageError("a radio sends to groups: name one with -g, or let -K find it in each line");
    }
    if (group !== undefined) groupOf(group);
    return publish(invocation, { topic: group, separator }, (options) => {
      return new Radio(options);
    });
  },
});
