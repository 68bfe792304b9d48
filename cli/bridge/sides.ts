/** The two sides of a bridge: a broker, or ZeroMQ sockets. */
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { type BrokerOperand, brokerOperand, refuseOptions, type System } from "../options/systems.ts";
import type { SidePatterns } from "./patterns.ts";
import type { BridgeValues, SinkSide, SourceSide } from "./contract.ts";

/** The options that only one of the sides can obey; the others are for both. */
const OF_ONE_SIDE: Readonly<Record<string, "from" | "to">> = {
  transient: "from",
  prefetch: "from",
  group: "from",
  force: "from",
  clientId: "from",
  hwm: "to",
  onFull: "to",
  declare: "to",
  mandatory: "to",
};

/**
 * Makes both sides.
 *
 * @throws {UsageError | EndpointError} an address is wrong, or no side can obey an option
 */
export async function makeSides(
  session: Session,
  patterns: SidePatterns,
  values: BridgeValues,
): Promise<{ readonly from: SourceSide; readonly to: SinkSide }> {
  const source = brokerOperand("--from", {}, values.from);
  const sink = brokerOperand("--to", {}, values.to);
  const systems: Record<"from" | "to", System> = { from: source?.system ?? "zmq", to: sink?.system ?? "zmq" };
  for (const [key, value] of Object.entries(values)) {
    const side = OF_ONE_SIDE[key];
    refuseOptions(side === undefined ? [systems.from, systems.to] : systems[side], { [key]: value });
  }
  if (source !== undefined && source.address === sink?.address) {
    throw new UsageError("--from and --to have the same address: messages would go around for ever");
  }
  const ofFrom = valuesOf(source, values.from, values);
  const ofTo = valuesOf(sink, values.to, values);
  const zmq = source === undefined || sink === undefined ? await import("./zmq.ts") : undefined;
  const brokers = source === undefined && sink === undefined ? undefined : await import("./brokers.ts");
  return {
    from: source === undefined
      ? await zmq!.zmqSource(session, patterns.from, ofFrom)
      : await brokers!.brokerSource(session, patterns.from, source, ofFrom),
    to: sink === undefined
      ? await zmq!.zmqSink(session, patterns.to, ofTo)
      : await brokers!.brokerSink(session, patterns.to, sink, ofTo),
  };
}

/** The values for one side: the password is that of `--user` at ZeroMQ, and certificates are for TLS. */
function valuesOf(
  broker: BrokerOperand | undefined,
  addresses: readonly string[],
  values: BridgeValues,
): BridgeValues {
  const isEncrypted = addresses.some((address) => /^[@>]?(?:wss|\w+s|\w+\+ssl):/i.test(address));
  return {
    ...values,
    ...((broker === undefined) === (values.user !== undefined) ? {} : { passwordFile: undefined }),
    ...(isEncrypted ? {} : { insecure: undefined, cacert: undefined, cert: undefined, key: undefined }),
  };
}
