import { UnreachableError } from "../../errors.ts";
import type { Envelope } from "../../link/message.ts";
import type { PortEvents, Publishing } from "../../link/port.ts";
import {
  Publisher as SharedPublisher,
  type PublisherOptions as SharedOptions,
} from "../../link/publisher.ts";
import type { ProtocolVersion } from "../packet_type.ts";
import type { MqttConnection } from "./connection.ts";
import type { PropertyMapping } from "./mapping.ts";
import { checkMode, Outgoing, type PublishMode } from "./outgoing.ts";
import { PacketIds } from "./packet_ids.ts";
import { protocolOf } from "./protocol.ts";
import { PacketPort } from "./publisher_port.ts";
import { Session, type SessionOptions } from "./session.ts";
import type { MqttAddress } from "./url.ts";

/** Options of a publisher. */
export interface PublisherOptions
  extends
    SharedOptions<MqttConnection>,
    Omit<SessionOptions, "sessionExpiry" | "receiveMaximum">,
    PublishMode {
  /** Converts the properties of messages. MQTT 3.1.1 has none. */
  readonly mapping?: PropertyMapping | undefined;
}

/** How long the server keeps the identifiers of QoS 2 after a lost connection, in seconds. */
const EXACTLY_ONCE_S = 3600;

/** Publishes with packet identifiers, which continue on the next connection if the server has kept the session. */
export class MqttPublishing implements Publishing<MqttConnection> {
  readonly outgoing: Outgoing;

  readonly #session: Session;
  readonly #mode: PublishMode;
  readonly #qos: number;
  #port: PacketPort | undefined;

  constructor(session: Session, mapping: PropertyMapping | undefined, mode: PublishMode) {
    this.#session = session;
    this.#mode = mode;
    this.#qos = mode.qos ?? 1;
    this.outgoing = new Outgoing(mapping, this.#qos);
  }

  check(envelope: Envelope): number {
    this.outgoing.set(envelope);
    return this.outgoing.room;
  }

  async open(connection: MqttConnection, events: PortEvents): Promise<PacketPort> {
    const { version, limits, sessionPresent } = connection;
    checkMode(this.#mode, limits);
    const { outgoing } = this;
    const last = sessionPresent ? this.#port?.ids : undefined;
    if (last !== undefined && (version !== outgoing.version || outgoing.isOver(limits))) {
      // A message may be refused now, so the identifiers would not belong to the same messages any more.
      this.#session.fresh = true;
      throw new UnreachableError(
        "The limits of the server have changed: the next connection begins a new session",
      );
    }
    outgoing.onConnection(version, limits);
    const ids = new PacketIds(limits.receiveMaximum, last);
    const port = new PacketPort(connection, events, outgoing, ids, this.#mode);
    this.#port = port;
    this.#session.fresh = false;
    connection.begin();
    return await Promise.resolve(port);
  }
}

/**
 * Publishes to MQTT servers: see `lib/link`. The routing key of an envelope is the topic. Messages of QoS 2 arrive once,
 * also after a reconnect, if both sides speak MQTT 5.0.
 */
export class MqttPublisher extends SharedPublisher<MqttAddress, MqttConnection> {
  readonly #outgoing: Outgoing;

  constructor(addresses: readonly MqttAddress[], options: PublisherOptions = {}) {
    const session = new Session(options, options.qos === 2 ? EXACTLY_ONCE_S : 0);
    const publishing = new MqttPublishing(session, options.mapping, options);
    super(protocolOf(session), publishing, addresses, options);
    this.#outgoing = publishing.outgoing;
  }

  /** The version of the current or last connection: MQTT 3.1.1 cannot carry properties. */
  get version(): ProtocolVersion {
    return this.#outgoing.version;
  }
}
