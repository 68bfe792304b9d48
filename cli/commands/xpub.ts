import { XPub } from "../../lib/zmq/types/xpub.ts";
import examples from "../cheats/xpub.md" with { type: "text" };
import { command, flag, group, option } from "../app/command.ts";
import { text } from "../app/values.ts";
import { conversing } from "../options/options.ts";
import { conversation } from "../zmq/converse.ts";
import { SLOW_SUBSCRIBERS } from "../zmq/publish.ts";
import { fanOutOptions, subscribersOf } from "../zmq/socket.ts";

const subscriptions = group("Messages", {
  all: flag(
    "--all",
    "print every subscription and unsubscription, not only the first and the last of a topic",
  ),
  welcome: option("--welcome <text>", "send this to each new peer at once", text),
});

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: { ...conversing, ...subscriptions },
  examples,
  action(invocation) {
    const { values } = invocation;
    const { all, welcome } = values;
    return conversation(invocation, {
      usual: "bind",
      socket: (options) =>
        new XPub({ ...options, ...fanOutOptions(values), verbose: all ? "all" : undefined, welcome }),
      dropped: (socket) => [socket.dropped, SLOW_SUBSCRIBERS],
      awaited: (socket) => subscribersOf(socket, values.waitPeers),
      onFull: values.onFull === "fail" ? "fail" : "block",
    });
  },
});
