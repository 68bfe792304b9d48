import { brokerSystemOf } from "../../lib/patterns/address.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import examples from "../cheats/proxy.md" with { type: "text" };
import { command, flag, group, list, option, readiness, type Values } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { oneOf, separator, text, word } from "../app/values.ts";
import { MIXED, topicRule } from "../bridge/patterns.ts";
import { placing } from "../options/broker.ts";
import { declaring, naming, prefetch, quality, routing, sharing } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { delivery, ending, output, receiving, socket } from "../options/options.ts";
import { refuseOptions } from "../options/systems.ts";
import { selecting } from "../options/where.ts";
import { PATTERNS } from "../zmq/devices.ts";
import { proxy } from "../zmq/proxy.ts";

const sides = group("Endpoints", {
  from: list(
    "--from <endpoint>",
    "where messages or requests come from: connects, or binds with @ (repeats); or the address of a broker",
    word,
  ),
  to: list(
    "--to <endpoint>",
    "where they go: binds, or connects with > (repeats); or the address of a broker, amqp://host//queue",
    word,
  ),
});

const traffic = group("Messages", {
  pattern: option(
    "--pattern <pattern>",
    "required: pubsub, pushpull or reqrep; sub-push: from an exchange or a publisher to a queue; pull-pub: from a queue to an exchange or subscribers",
    oneOf(...PATTERNS, ...MIXED),
  ),
  topic: list(
    "-t, --topic <prefix>",
    "forward only messages with this prefix (repeats); from a broker: a pattern such as order.#",
    text,
  ),
  topicMap: list(
    "--topic-map <regex=>replacement>",
    "with a broker: change topics; $1 is the first group (repeats; the first match is applied)",
    topicRule,
  ),
  lastValue: flag("--last-value", "send new subscribers the latest message of each topic first"),
  separator: option(
    "-K, --key-separator <text>",
    "separator after the topic in messages of one frame: for --last-value (default: a space) and to a broker (default: none)",
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
    ...selecting,
    ...copies,
    ...output,
    ...group("Timing", {
      count: { ...ending.count, description: "with a broker: end after this number of messages" },
      timeout: ending.timeout,
    }),
    ...receiving,
    ...group("Delivery", {
      linger: delivery.linger,
      hwm: delivery.hwm,
      onFull: {
        ...delivery.onFull,
        description: "when a queue stays full: block, drop or fail (default: block; pubsub: drop)",
      },
    }),
    ...group("Brokers (amqp, mqtt, stomp)", {
      prefetch: { ...prefetch.prefetch, description: "number of messages to prefetch (default: 1000)" },
    }),
    ...declaring,
    ...routing,
    ...quality,
    ...naming,
    ...sharing,
    ...placing,
    ...brokerContext,
  },
  examples,
  async action({ session, values }) {
    const { pattern, topic, lastValue, separator, tap } = values;
    if (pattern === undefined) {
      throw new UsageError(`--pattern is missing: choose one of ${[...PATTERNS, ...MIXED].join(", ")}`);
    }
    if (values.from.length === 0 || values.to.length === 0) {
      throw new UsageError("a proxy has two sides: name one with --from, and one with --to");
    }
    if (tap !== "-") refuseOutput(values);
    const sides = { ...values, bind: [], connect: [] };
    const tapPlan = tap === undefined || tap === "-"
      ? undefined
      : planEndpoints(session.command, "bind", sides, [tap]);
    const device = PATTERNS.find((name) => name === pattern);
    const isBridge = device === undefined || [...values.from, ...values.to].some(isBroker);
    if (isBridge) {
      if (lastValue) throw new UsageError("--last-value is for pubsub between ZeroMQ sockets");
      const { bridge } = await import("../bridge/proxy.ts");
      return await bridge(session, pattern, tapPlan, values);
    }
    refuseOptions("zmq", values);
    if (values.topicMap.length > 0 || values.count !== undefined) {
      const flag = values.count === undefined ? "--topic-map" : "-n";
      throw new UsageError(`${flag} is for a bridge between systems, and both sides are ZeroMQ`);
    }
    if (device === "reqrep" && topic.length > 0) {
      throw new UsageError("-t would leave requests without a reply; it is for pubsub and pushpull");
    }
    if (device === "reqrep" && values.where !== undefined) {
      throw new UsageError("--where would leave requests without a reply; it is for pubsub and pushpull");
    }
    if (lastValue && device !== "pubsub") {
      throw new UsageError("--last-value is for pubsub, which has subscribers");
    }
    if (separator !== undefined && !lastValue && tap !== "-") {
      throw new UsageError("-K has an effect with --last-value, or with --tap - only");
    }
    const plans = {
      from: planEndpoints(session.command, "connect", sides, values.from),
      to: planEndpoints(session.command, "bind", sides, values.to),
      tap: tapPlan,
    };
    return await proxy(session, device, plans, topic.map(utf8), values);
  },
});

/** @throws {UsageError} an option sets the form of printed messages, and none are printed */
function refuseOutput(values: Values<typeof output & typeof receiving>): void {
  const flags = { null: "-0", out: "--out", json: "-J", format: "-f", timestamps: "--timestamps" } as const;
  for (const name of ["null", "out", "json", "format", "timestamps"] as const) {
    if (values[name] !== undefined) throw new UsageError(`${flags[name]} has an effect with --tap - only`);
  }
}

/** Whether an address is that of a broker. */
function isBroker(address: string): boolean {
  return brokerSystemOf(address.replace(/^[@>]/, "")) !== undefined;
}
