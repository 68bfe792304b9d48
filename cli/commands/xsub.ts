import { XSub } from "../../lib/zmq/types/xsub.ts";
import examples from "../cheats/xsub.md" with { type: "text" };
import { command, group, list } from "../app/command.ts";
import { text } from "../app/values.ts";
import { conversing } from "../options/options.ts";
import { conversation } from "../zmq/converse.ts";

const subscriptions = group("Messages", {
  topic: list("-t, --topic <prefix>", "subscribe to topics with this prefix (repeats)", text),
});

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing, ...subscriptions },
  examples,
  action(invocation) {
    const { topic: topics } = invocation.values;
    return conversation(invocation, {
      usual: "connect",
      socket(options) {
        const socket = new XSub(options);
        for (const topic of topics) socket.subscribe(topic);
        return socket;
      },
      listens: true,
    });
  },
});
