/** ZeroMQ sockets as a side of a bridge. */
import { ZmqInlet } from "../../lib/patterns/zmq/inlet.ts";
import { ZmqOutlet } from "../../lib/patterns/zmq/outlet.ts";
import { Pub } from "../../lib/zmq/types/pub.ts";
import { Pull } from "../../lib/zmq/types/pull.ts";
import { Push } from "../../lib/zmq/types/push.ts";
import { Sub } from "../../lib/zmq/types/sub.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { attach, fanOutOptions, socketOptions } from "../zmq/socket.ts";
import type { SidePatterns } from "./patterns.ts";
import type { BridgeValues, SinkSide, SourceSide } from "./contract.ts";

const NO_ENDPOINTS = { bind: [], connect: [] };

/** @throws {UsageError} an endpoint is wrong */
export async function zmqSource(
  session: Session,
  pattern: SidePatterns["from"],
  values: BridgeValues,
): Promise<SourceSide> {
  const plan = planEndpoints(session.command, "connect", { ...values, ...NO_ENDPOINTS }, values.from);
  const topics = values.topic.map(utf8);
  const settings = await socketOptions(session, values);
  const socket = pattern === "pull" ? new Pull(settings) : subscriber(new Sub(settings), topics);
  let unfit = 0;
  return {
    system: "zmq",
    isQueue: false,
    endpoint: values.from.join(","),
    isLossy: true,
    open: (events) =>
      new ZmqInlet(socket, events, {
        topics: pattern === "pull" ? topics : [],
        separator: values.separator === undefined ? undefined : utf8(values.separator),
        onUnfit(frames) {
          if (unfit++ > 0) return;
          session.reporter.warn(
            `dropped a message of ${frames} frames: a message of other systems has a topic and a body`,
          );
        },
      }),
    start: () => attach(session, socket, plan),
    isAbandoned: () => socket.abandoned,
    unfit: () => unfit,
  };
}

/** @throws {UsageError} an endpoint is wrong */
export async function zmqSink(
  session: Session,
  pattern: SidePatterns["to"],
  values: BridgeValues,
): Promise<SinkSide> {
  const plan = planEndpoints(session.command, "bind", { ...values, ...NO_ENDPOINTS }, values.to);
  const { hwm, onFull = "block" } = values;
  if (onFull === "fail" || onFull === "drop" && pattern === "push") {
    throw new UsageError(
      `--on-full ${onFull}: a bridge waits (block), or drops messages for slow subscribers (drop)`,
    );
  }
  const settings = { ...await socketOptions(session, values), hwm };
  const pub = pattern === "pub" ? new Pub({ ...settings, ...fanOutOptions({ onFull }) }) : undefined;
  const socket = pub ?? new Push(settings);
  return {
    system: "zmq",
    exchange: "",
    name: undefined,
    outlet: new ZmqOutlet(socket, { drops: onFull === "drop" }),
    start: () => attach(session, socket, plan),
    dropped: () => pub?.dropped ?? 0,
  };
}

function subscriber(socket: Sub, topics: readonly Uint8Array[]): Sub {
  for (const topic of topics.length === 0 ? [utf8("")] : topics) socket.subscribe(topic);
  return socket;
}
