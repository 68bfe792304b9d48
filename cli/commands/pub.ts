import { Pub } from "../../lib/zmq/pub.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import examples from "../cheats/pub.md" with { type: "text" };
import { command, group, option } from "../command.ts";
import { open, planEndpoints } from "../endpoints.ts";
import { EXIT } from "../errors.ts";
import { delivery, diagnostics, ending, input, pacing, zeromq } from "../options.ts";
import { repeats } from "../pacer.ts";
import { messages, PATIENCE_MS, sendAll } from "../sending.ts";
import { Session } from "../session.ts";
import { socketOptions } from "../socket_options.ts";
import { sourceOf } from "../source.ts";
import { text, word } from "../values.ts";

const topics = group("Messages", {
  topic: option("-t, --topic <topic>", "send this as a first frame before each body", text),
  separator: option(
    "-K, --key-separator <text>",
    "split each line here into topic and body; -t is for lines without it",
    word,
  ),
});

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: {
    ...zeromq,
    ...input,
    ...topics,
    ...ending,
    ...pacing,
    ...delivery,
    ...diagnostics,
  },
  examples,
  action(values, operands) {
    const plan = planEndpoints("pub", "bind", values, operands);
    const source = sourceOf(values, repeats(values), {
      topic: values.topic === undefined ? undefined : utf8(values.topic),
      separator: values.separator === undefined ? undefined : utf8(values.separator),
    });
    const session = new Session("pub", values);
    return session.run(async () => {
      const socket = new Pub({
        ...socketOptions(session, values),
        hwm: values.hwm,
        onFull: values.onFull === "block" || values.onFull === "fail" ? "block" : "drop",
        dropAfter: PATIENCE_MS,
      });
      await open(session, socket, plan);
      const awaited = {
        wanted: values.waitPeers ?? 1,
        count: () => socket.subscribers,
        asked: values.waitPeers !== undefined,
      };
      // The socket drops for one subscriber at a time, so the sending itself only ever waits.
      const onFull = values.onFull === "fail" ? "fail" : "block";
      try {
        await sendAll(session, socket, source, { ...values, onFull }, awaited);
      } finally {
        session.counts.dropped += socket.dropped;
        if (socket.dropped > 0) {
          session.reporter.error(`dropped ${messages(socket.dropped)} for subscribers that did not keep up`);
          session.exitCode ||= EXIT.undelivered;
        }
      }
    });
  },
});
