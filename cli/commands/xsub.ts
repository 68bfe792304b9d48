import { XSub } from "../../lib/zmq/xsub.ts";
import examples from "../cheats/xsub.md" with { type: "text" };
import { command, group, list } from "../command.ts";
import { conversation } from "../conversing.ts";
import { conversing } from "../options.ts";
import { text } from "../values.ts";

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
