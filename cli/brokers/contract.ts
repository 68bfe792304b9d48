/** What the commands need of the systems of brokers. */
import type { Delivery, Inlet, InletEvents, Outlet } from "../../lib/patterns/contract.ts";
import type { Replier, ReplierEvents } from "../../lib/patterns/replier.ts";
import type { Requester, RequesterOptions } from "../../lib/patterns/requester.ts";
import type { Session } from "../app/session.ts";
import type { WhereValues } from "../options/where.ts";
import type { LoginValues, Target } from "./link.ts";
import type { Destination } from "./pack.ts";
import type { Fate } from "./sinks.ts";

/** Where a command sends its messages. */
export interface Sink extends Target {
  readonly outlet: Outlet;
  /** The exchange, the queue and the topic of the messages. */
  readonly destination: Destination;
  /** Replaces an error of the first connection. */
  explain?(error: unknown): unknown;
}

/** Where a command receives messages from. */
export interface Origin extends Target {
  /** What happens to messages that do not match `--where`: see `Selection`. */
  readonly others: "drop" | "hold";
  /** @param prefetch the maximum number of unacknowledged messages */
  open(events: InletEvents, prefetch: number): Inlet;
  /** Looks at each message before it is processed. @returns why it does not fit the options */
  inspect?(delivery: Delivery): Error | undefined;
  /** Called once if no message has arrived for a while, with `--drain`. @returns why none can arrive */
  suspect?(): Promise<Error | undefined>;
  /** Replaces an error of the first connection. */
  explain?(error: unknown): unknown;
}

/** The values of the options for a sink, which depend on the system; times are in milliseconds. */
export interface SinkValues extends LoginValues {
  readonly topic?: string | undefined;
  readonly separator?: string | undefined;
  readonly json?: boolean | undefined;
  readonly mandatory?: boolean | undefined;
  readonly declare?: boolean | undefined;
  readonly qos?: "0" | "1" | "2" | undefined;
  readonly retain?: boolean | undefined;
}

/** The values of the options for an origin, which depend on the system; times are in milliseconds. */
export interface OriginValues extends LoginValues, WhereValues {
  readonly topic?: readonly string[] | undefined;
  readonly match?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly prefetch?: number | undefined;
  readonly declare?: boolean | undefined;
  readonly drain?: boolean | undefined;
  readonly offset?: string | undefined;
  readonly onError?: Fate | undefined;
  readonly qos?: "0" | "1" | "2" | undefined;
  readonly group?: string | undefined;
  /** How long an MQTT server keeps messages while it has no connection to us, in seconds. Default: 0 */
  readonly sessionExpiry?: number | undefined;
  /** The client identifier of MQTT: with it, the session also outlives the command. Default: a random one */
  readonly clientId?: string | undefined;
}

/** A service that a command asks. */
export interface AskedService extends Target {
  /** The exchange, the queue and the topic of the requests. */
  readonly destination: Destination;
  open(options: RequesterOptions): Requester;
  /** Replaces an error of the first connection. */
  explain?(error: unknown): unknown;
}

/** A service that a command offers. */
export interface OfferedService extends Target {
  /** @param prefetch the maximum number of unacknowledged requests */
  open(events: ReplierEvents, prefetch: number): Replier;
  /** Replaces an error of the first connection. */
  explain?(error: unknown): unknown;
}

/** The values of the options for a service to ask, which depend on the system. */
export interface AskedValues extends LoginValues {
  /** The exchange that requests go to, instead of the queue of the address. */
  readonly exchange?: string | undefined;
  /** The routing key for the exchange. */
  readonly topic?: string | undefined;
}

/** The values of the options for a service to offer, which depend on the system. */
export interface OfferedValues extends LoginValues {
  readonly declare?: boolean | undefined;
  readonly onError?: Fate | "reply" | undefined;
  readonly group?: string | undefined;
}

/** The patterns on one system. Each function throws a `UsageError` or `EndpointError` for a wrong address. */
export interface Patterns {
  publish(session: Session, address: string, values: SinkValues): Sink;
  push(session: Session, address: string, values: SinkValues): Sink;
  subscribe(session: Session, address: string, values: OriginValues): Origin;
  pull(session: Session, address: string, values: OriginValues): Origin;
  request(session: Session, address: string, values: AskedValues): AskedService;
  reply(session: Session, address: string, values: OfferedValues): OfferedService;
}
