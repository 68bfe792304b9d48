import { Dish } from "../../lib/zmq/types/dish.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import examples from "../cheats/dish.md" with { type: "text" };
import { command, group, list, option } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { separator, word } from "../app/values.ts";
import { checkExec } from "../io/exec.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { conflation, ending, exec, output, receiving, zeromq } from "../options/options.ts";
import { styleOf } from "../records/writer.ts";
import { receiveAll } from "../zmq/receive.ts";
import { open, socketOptions } from "../zmq/socket.ts";

const groups = group("Messages", {
  group: list("-g, --group <name>", "join this group (repeats)", word),
  separator: option(
    "-K, --key-separator <text>",
    "print the group and this separator before each body",
    separator,
  ),
});

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: {
    ...zeromq,
    ...groups,
    ...output,
    ...ending,
    ...receiving,
    ...conflation,
    ...exec,
  },
  examples,
  async action({ session, values, operands }) {
    const plan = planEndpoints(session.command, "connect", values, operands);
    if (values.group.length === 0) {
      throw new UsageError("a dish receives the messages of its groups: join one with -g");
    }
    checkExec(values);
    const separator = values.separator === undefined ? undefined : utf8(values.separator);
    const style = styleOf(session, values, true, separator);
    const socket = new Dish(await socketOptions(session, values));
    for (const group of values.group) socket.join(group);
    await Promise.all([receiveAll(session, socket, style, values), open(session, socket, plan)]);
  },
});
