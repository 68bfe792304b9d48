import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Sender } from "../../lib/zmq/sender.ts";
import { Dealer } from "../../lib/zmq/types/dealer.ts";
import { Pair } from "../../lib/zmq/types/pair.ts";
import { Pub } from "../../lib/zmq/types/pub.ts";
import { Push } from "../../lib/zmq/types/push.ts";
import { Radio } from "../../lib/zmq/types/radio.ts";
import examples from "../cheats/replay.md" with { type: "text" };
import { command, flag, group, list, option } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { reportDropped } from "../app/tally.ts";
import { oneOf, word } from "../app/values.ts";
import type { LoginValues } from "../brokers/link.ts";
import { placing } from "../options/broker.ts";
import { declaring, quality, retention } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { delivery, ending, pacing, zeromq } from "../options/options.ts";
import { type BrokerOperand, brokerOperand } from "../options/systems.ts";
import { type PublishingSocket, SLOW_SUBSCRIBERS } from "../zmq/publish.ts";
import { MAX_SPEED, Recording } from "../zmq/replay.ts";
import { sendAll } from "../zmq/send.ts";
import { fanOutOptions, open, peersOf, socketOptions, subscribersOf } from "../zmq/socket.ts";

const PATTERNS = ["push", "pub", "radio", "dealer", "pair"] as const;

export default command({
  argument: [
    "<file> [endpoint...]",
    "a recording that -J has written, or a dump; and where to send it: @ binds, > connects (default: as the pattern " +
    "does); or the address of a broker with a queue (push), or with an exchange or a topic (pub)",
  ],
  options: {
    ...zeromq,
    ...group("Messages", {
      to: list("--to <endpoint>", "the same as an endpoint after the file (repeats)", word),
      pattern: option(
        "--pattern <name>",
        `send like this command: ${PATTERNS.join(", ")} (default: push; pub for an exchange of a broker)`,
        oneOf(...PATTERNS),
      ),
    }),
    ...group("Timing", {
      speed: option(
        "--speed <factor>",
        "play faster or slower: 2x, 0.5x and so on, or max for no pauses (default: 1x)",
        speed,
      ),
      loop: flag("--loop", "repeat the recording"),
      delay: pacing.delay,
    }),
    ...ending,
    ...delivery,
    ...declaring,
    ...quality,
    ...retention,
    ...placing,
    ...brokerContext,
  },
  examples,
  async action({ session, values, operands: [file, ...operands] }) {
    const { pattern = "push", loop = false } = values;
    if (loop && file === "-") throw new UsageError("--loop needs a file: stdin can be read only once");
    const broker = brokerOperand(session.command, values, [...operands, ...values.to]);
    const pace = { delay: values.delay, interval: undefined, rate: undefined };
    if (broker !== undefined) {
      if (pattern !== "push" && pattern !== "pub") {
        throw new UsageError(
          `--pattern ${pattern} is for ZeroMQ: to a broker a recording is sent as push or pub does`,
        );
      }
      const recording = new Recording(session, file!, values.speed ?? 1, loop, "records");
      const { replayTo } = await import("../brokers/send.ts");
      const publishes = pattern === "pub" ||
        values.pattern === undefined && await isExchange(session, broker, values);
      return await replayTo(session, publishes ? "publish" : "push", broker, recording, {
        ...values,
        ...pace,
      });
    }
    const publishes = pattern === "pub" || pattern === "radio";
    const plan = planEndpoints(
      `${session.command} FILE`,
      publishes ? "bind" : "connect",
      values,
      [...operands, ...values.to],
      pattern,
    );
    const recording = new Recording(
      session,
      file!,
      values.speed ?? 1,
      loop,
      "messages",
    );
    const options = { ...await socketOptions(session, values), hwm: values.hwm };
    if (!publishes) {
      const socket = senderOf(pattern, options);
      await open(session, socket, plan);
      const awaited = peersOf(socket, values.waitPeers);
      return await sendAll(session, socket, recording, { ...values, ...pace }, awaited);
    }
    const socket: PublishingSocket = new (pattern === "pub" ? Pub : Radio)({
      ...options,
      ...fanOutOptions(values),
    });
    await open(session, socket, plan);
    const onFull = values.onFull === "fail" ? "fail" : "block";
    try {
      const awaited = subscribersOf(socket, values.waitPeers);
      await sendAll(session, socket, recording, { ...values, ...pace, onFull }, awaited);
    } finally {
      reportDropped(session, socket.dropped, SLOW_SUBSCRIBERS);
    }
  },
});

/** The name at an AMQP broker can be that of an exchange: then its messages keep their routing keys. */
async function isExchange(
  session: Session,
  { system, address }: BrokerOperand,
  values: LoginValues,
): Promise<boolean> {
  return system === "amqp" &&
    await (await import("../queue/existence.ts")).namesExchange(session, address, values);
}

function senderOf(pattern: "push" | "dealer" | "pair", options: SocketOptions): Sender {
  if (pattern === "push") return new Push(options);
  const socket = pattern === "dealer" ? new Dealer(options) : new Pair(options);
  socket.consume(() => {}); // Replies are not part of a recording.
  return socket;
}

function speed(text: string): number {
  if (text === "max") return MAX_SPEED;
  const factor = Number(/^(\d+(?:\.\d+)?|\.\d+)x?$/.exec(text)?.[1] ?? 0);
  if (factor > 0) return factor;
  throw new Error("expected a factor such as 2x or 0.5x, or max");
}
