import { Sub } from "../../lib/zmq/types/sub.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import examples from "../cheats/sub.md" with { type: "text" };
import { command, group, list, option } from "../app/command.ts";
import { separator, text } from "../app/values.ts";
import { checkExec } from "../io/exec.ts";
import { spreading } from "../options/broker.ts";
import { matches, prefetch, quality } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { conflation, ending, exec, output, receiving, stats, zeromq } from "../options/options.ts";
import { brokerOperand } from "../options/systems.ts";
import { filterOf, where } from "../options/where.ts";
import { statsOf } from "../records/stats.ts";
import { styleOf } from "../records/writer.ts";
import { receiveAll } from "../zmq/receive.ts";
import { open, socketOptions } from "../zmq/socket.ts";

const topics = group("Messages", {
  topic: list(
    "-t, --topic <prefix>",
    "subscribe to topics with this prefix (repeats; default: all topics); at a broker: a pattern such as order.#",
    text,
    "use the part of the prefix that is UTF-8, or subscribe to all topics",
  ),
  separator: option(
    "-K, --key-separator <text>",
    "print the topic and this separator before each body",
    separator,
  ),
});

export default command({
  addresses: { names: "exchanges" },
  argument: [
    "[endpoint...]",
    "where to connect; @ in front binds; or the exchange or topic of a broker: amqp://host//exchange, amqp:exchange, mqtt:topic",
  ],
  options: {
    ...zeromq,
    ...topics,
    ...where,
    ...output,
    ...stats,
    ...ending,
    ...receiving,
    ...conflation,
    ...exec,
    ...prefetch,
    ...matches,
    ...quality,
    ...spreading,
    ...brokerContext,
  },
  examples,
  async action({ session, values, operands }) {
    const broker = brokerOperand(session.command, values, operands);
    if (broker !== undefined) {
      const { subscribe } = await import("../brokers/receive.ts");
      return await subscribe(session, broker, values);
    }
    const plan = planEndpoints(session.command, "connect", values, operands);
    checkExec(values);
    const separator = values.separator === undefined ? undefined : utf8(values.separator);
    const counts = await statsOf(session, values);
    const style = {
      ...styleOf(session, values, true, separator),
      ...(counts === undefined ? {} : { stats: { counts, prefixes: values.topic } }),
    };
    const socket = new Sub(await socketOptions(session, values));
    for (const topic of values.topic.length === 0 ? [""] : values.topic) socket.subscribe(topic);
    const filter = await filterOf(values);
    await Promise.all([
      receiveAll(session, socket, style, { ...values, filter }),
      open(session, socket, plan),
    ]);
  },
});
