import {
  Publisher as SharedPublisher,
  type PublisherOptions as SharedOptions,
} from "../../link/publisher.ts";
import type { ProtocolVersion } from "../packet_type.ts";
import type { MqttConnection } from "./connection.ts";
import type { PropertyMapping } from "./mapping.ts";
import type { Outgoing, PublishMode } from "./outgoing.ts";
import { protocolOf } from "./protocol.ts";
import { Sending } from "./sending.ts";
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

/**
 * Publishes to MQTT servers: see `lib/link`. The routing key of an envelope is the topic. Messages of QoS 2 arrive once,
 * also after a reconnect, if both sides speak MQTT 5.0.
 */
export class MqttPublisher extends SharedPublisher<MqttAddress, MqttConnection> {
  readonly #outgoing: Outgoing;

  constructor(addresses: readonly MqttAddress[], options: PublisherOptions = {}) {
    const session = new Session(options, options.qos === 2 ? EXACTLY_ONCE_S : 0);
    const sending = new Sending(session, options.mapping, options);
    super(protocolOf(session), sending, addresses, options);
    this.#outgoing = sending.outgoing;
  }

  /** The version of the current or last connection: MQTT 3.1.1 cannot carry properties. */
  get version(): ProtocolVersion {
    return this.#outgoing.version;
  }
}
