import { utf8 } from "../../lib/zmtp/bytes.ts";
import examples from "../cheats/proxy.md" with { type: "text" };
import { command, flag, group, list, option, readiness } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { oneOf, separator, text, word } from "../app/values.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { delivery, ending, output, receiving, socket } from "../options/options.ts";
import { PATTERNS } from "../zmq/devices.ts";
import { proxy } from "../zmq/proxy.ts";

const sides = group("Endpoints", {
  from: list(
    "--from <endpoint>",
    "where messages, or requests, come from: connect, or bind with @ (repeats)",
    word,
  ),
  to: list("--to <endpoint>", "where they go: bind, or connect with > (repeats)", word),
});

const traffic = group("Messages", {
  pattern: option("--pattern <pattern>", "pubsub, pushpull or reqrep", oneOf(...PATTERNS)),
  topic: list("-t, --topic <prefix>", "forward only messages with this prefix (repeats)", text),
  lastValue: flag("--last-value", "send new subscribers the latest message of each topic first"),
  separator: option(
    "-K, --key-separator <text>",
    "the end of the topic in a message of one frame, for --last-value (default: a space)",
    separator,
  ),
});

const copies = group("Output", {
  tap: option(
    "--tap <endpoint>",
    "copy all messages to stdout (-), or to a PUB socket that binds this endpoint",
    word,
  ),
});

export default command({
  options: {
    ...sides,
    ...readiness,
    ...socket,
    ...traffic,
    ...copies,
    ...output,
    ...group("Timing", { timeout: ending.timeout }),
    ...receiving,
    ...group("Delivery", { linger: delivery.linger, hwm: delivery.hwm, onFull: delivery.onFull }),
  },
  examples,
  action({ session, values }) {
    const { pattern, topic, lastValue, separator, tap } = values;
    if (pattern === undefined) {
      throw new UsageError(`--pattern is missing: choose one of ${PATTERNS.join(", ")}`);
    }
    if (values.from.length === 0 || values.to.length === 0) {
      throw new UsageError("a proxy has two sides: name one with --from, and one with --to");
    }
    if (pattern === "reqrep" && topic.length > 0) {
      throw new UsageError("-t would leave requests without a reply; it is for pubsub and pushpull");
    }
    if (lastValue && pattern !== "pubsub") {
      throw new UsageError("--last-value is for pubsub, which has subscribers");
    }
    if (separator !== undefined && !lastValue && tap !== "-") {
      throw new UsageError("-K has an effect with --last-value, or with --tap - only");
    }
    const plans = {
      from: planEndpoints(session.command, "connect", { ...values, bind: [], connect: [] }, values.from),
      to: planEndpoints(session.command, "bind", { ...values, bind: [], connect: [] }, values.to),
      tap: tap === undefined || tap === "-"
        ? undefined
        : planEndpoints(session.command, "bind", { ...values, bind: [], connect: [] }, [tap]),
    };
    const topics = topic.map(utf8);
    return proxy(session, pattern, plans, topics, values);
  },
});
