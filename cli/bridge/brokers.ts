/** A broker as a side of a bridge. */
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { startWithin } from "../brokers/link.ts";
import { patternsOf } from "../brokers/systems.ts";
import type { BrokerOperand } from "../options/systems.ts";
import type { SidePatterns } from "./patterns.ts";
import type { BridgeValues } from "./proxy.ts";
import type { SinkSide, SourceSide } from "./sides.ts";

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
  const { topic, group, qos, passwordFile, insecure, cacert, cert, key } = values;
  const options = { topic, group, qos, passwordFile, insecure, cacert, cert, key };
  const origin = isQueue
    ? patterns.pull(session, address, options)
    : patterns.subscribe(session, address, options);
  return {
    system,
    isQueue: isQueue && system !== "mqtt",
    endpoint: origin.endpoint,
    isLossy: false,
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
  const { declare, mandatory, qos, passwordFile, insecure, cacert, cert, key } = values;
  const options = { declare, mandatory, qos, passwordFile, insecure, cacert, cert, key };
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
      await startWithin(sink, values.timeout, sink.outlet.start());
      return [sink.where];
    },
  };
}
