/** The two sides of a bridge: a broker, or ZeroMQ sockets. */
import type { BridgeSink, BridgeSource } from "../../lib/patterns/bridge/readdress.ts";
import type { Inlet, InletEvents, Outlet } from "../../lib/patterns/contract.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { type BrokerOperand, brokerOperand, refuseOptions, type System } from "../options/systems.ts";
import type { SidePatterns } from "./patterns.ts";
import type { BridgeValues } from "./proxy.ts";

/** Where messages come from. */
export interface SourceSide extends BridgeSource {
  /** The address, for reports, and for records of systems without a broker. */
  readonly endpoint: string;
  /** Whether it delivers a message only once, so that messages that cannot be forwarded are lost. */
  readonly isLossy: boolean;
  /** Makes the inlet. @param prefetch the maximum number of unacknowledged messages */
  open(events: InletEvents, prefetch: number): Inlet;
  /** Starts the inlet. @returns the addresses for `--ready-file` */
  start(inlet: Inlet): Promise<readonly string[]>;
  /** Whether all peers have disconnected. */
  isAbandoned?(): boolean;
  /** The number of messages that do not fit a message of other systems, and are lost. */
  unfit?(): number;
}

/** Where messages go. */
export interface SinkSide extends BridgeSink {
  readonly outlet: Outlet;
  /** Starts the outlet. @returns the addresses for `--ready-file` */
  start(): Promise<readonly string[]>;
  /** The number of messages that sockets have dropped. */
  dropped?(): number;
}

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
