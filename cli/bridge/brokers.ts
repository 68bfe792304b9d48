/** A broker as a side of a bridge. */
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { type LoginValues, startWithin } from "../brokers/link.ts";
import { patternsOf } from "../brokers/systems.ts";
import type { BrokerOperand } from "../options/systems.ts";
import type { SidePatterns } from "./patterns.ts";
import type { BridgeValues, SinkSide, SourceSide } from "./contract.ts";

/** How long an MQTT server keeps the messages for a bridge that reconnects, in seconds. */
const RECONNECT_S = 3600;
/** How long it keeps them for a bridge with a client identifier, which may be started again, in seconds. */
const KEPT_S = 24 * 3600;

/** @throws {UsageError | EndpointError} the address is wrong */
export async function brokerSource(
  session: Session,
  pattern: SidePatterns["from"],
  { system, address }: BrokerOperand,
  values: BridgeValues,
): Promise<SourceSide> {
  const patterns = await patternsOf(system);
  const isQueue = pattern === "pull";
  if (isQueue && values.topic.length > 0) {
    throw new UsageError("-t would leave the other messages of the queue without a receiver; it is for sub");
  }
  const { topic, group, qos, clientId, where, force } = values;
  const sessionExpiry = clientId === undefined ? RECONNECT_S : KEPT_S;
  const options = { ...loginOf(values), topic, group, qos, clientId, sessionExpiry, where, force };
  const origin = isQueue
    ? patterns.pull(session, address, options)
    : patterns.subscribe(session, address, options);
  return {
    system,
    isQueue: isQueue && system !== "mqtt",
    endpoint: origin.where,
    // A subscription ends with its connection; MQTT delivers messages of QoS 0 only once.
    isLossy: !isQueue || system === "mqtt",
    open: (events, prefetch) => origin.open(events, prefetch),
    async start(inlet) {
      await startWithin(origin, values.timeout, inlet.start()).catch((error) => {
        throw origin.explain?.(error) ?? error;
      });
      return [origin.where];
    },
  };
}

/** @throws {UsageError | EndpointError} the address is wrong */
export async function brokerSink(
  session: Session,
  pattern: SidePatterns["to"],
  { system, address }: BrokerOperand,
  values: BridgeValues,
): Promise<SinkSide> {
  const patterns = await patternsOf(system);
  const { declare, mandatory, qos } = values;
  // Messages have topics of their own, as records have.
  const options = { ...loginOf(values), declare, mandatory, qos, json: true };
  const sink = pattern === "push"
    ? patterns.push(session, address, options)
    : patterns.publish(session, address, options);
  const { exchange, queue, topic } = sink.destination;
  return {
    system,
    exchange,
    name: queue ?? topic,
    outlet: sink.outlet,
    async start() {
      await startWithin(sink, values.timeout, sink.outlet.start()).catch((error) => {
        throw sink.explain?.(error) ?? error;
      });
      return [sink.where];
    },
  };
}

/** How to connect, and to which host. */
function loginOf(values: BridgeValues): LoginValues {
  const { passwordFile, context, insecure, cacert, cert, key, shuffle, nearLeader, http } = values;
  return { passwordFile, context, insecure, cacert, cert, key, shuffle, nearLeader, http };
}
