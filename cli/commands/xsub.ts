import { XSub } from "../../lib/zmq/types/xsub.ts";
import examples from "../cheats/xsub.md" with { type: "text" };
import { command, group, list } from "../app/command.ts";
import { conversation } from "../zmq/converse.ts";
import { conversing } from "../options/options.ts";
import { text } from "../app/values.ts";

const topics = group("Messages", {
  topic: list("-t, --topic <prefix>", "subscribe to what begins so (repeats)", text),
});

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing, ...topics },
  examples,
  action(values, operands) {
    return conversation("xsub", values, operands, {
      usual: "connect",
      socket(options) {
        const socket = new XSub(options);
        for (const topic of values.topic) socket.subscribe(topic);
        return socket;
      },
      listens: true,
    });
  },
});
