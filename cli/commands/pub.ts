import { Pub } from "../../lib/zmq/types/pub.ts";
import examples from "../cheats/pub.md" with { type: "text" };
import { command, group, option } from "../app/command.ts";
import { separator, text } from "../app/values.ts";
import { publish, publishing } from "../zmq/publish.ts";

const TOPIC_BYTES = "topic_base64 in the records of -J can be other bytes";
const topics = group("Messages", {
  topic: option("-t, --topic <topic>", "send this as a first frame before each body", text, TOPIC_BYTES),
  separator: option(
    "-K, --key-separator <text>",
    "split each line here into topic and body; -t is for lines without it",
    separator,
    TOPIC_BYTES,
  ),
});

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: { ...publishing, ...topics },
  examples,
  action(invocation) {
    return publish(invocation, invocation.values, (options) => new Pub(options));
  },
});
