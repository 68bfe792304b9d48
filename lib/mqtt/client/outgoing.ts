import { IncompatiblePeerError } from "../../errors.ts";
import type { Envelope } from "../../link/message.ts";
import { sizeofVariable } from "../integers.ts";
import { sizeofPublish } from "../packet_encoder.ts";
import { MAX_REMAINING, type ProtocolVersion } from "../packet_type.ts";
import { PropertyWriter } from "../properties.ts";
import { encodeText } from "../text.ts";
import { isTopicName } from "../topic.ts";
import type { ServerLimits } from "./connection.ts";
import type { PropertyMapping } from "./mapping.ts";

/** The longest fixed header, in bytes. */
const FIXED_HEADER = 5;

/** How messages are published. */
export interface PublishMode {
  /** 0: taken when written; 1: at least once; 2: exactly once while the client runs, in MQTT 5.0. Default: 1 */
  readonly qos?: 0 | 1 | 2 | undefined;
  /** Whether the server keeps the latest message of each topic for later subscribers. Default: false */
  readonly retain?: boolean | undefined;
  /**
   * Whether messages that the server took although no client subscribes to their topic are counted as `returned`. Only some
   * servers of MQTT 5.0 know it, and only for QoS 1 and 2. Default: false
   */
  readonly mandatory?: boolean | undefined;
  /** Whether the properties of an envelope change from message to message. Default: false */
  readonly changes?: boolean | undefined;
}

/**
 * The encoded topic and properties of an envelope. Those of the last envelope are kept, as many messages have the same
 * one.
 */
export class Outgoing {
  topic: Uint8Array = new Uint8Array(0);
  readonly properties: PropertyWriter = new PropertyWriter();
  version: ProtocolVersion = 5;
  maximumPacketSize: number = MAX_REMAINING + FIXED_HEADER;

  readonly #mapping: PropertyMapping | undefined;
  readonly #hasPacketId: boolean;
  readonly #changes: boolean;
  #last: Envelope | undefined;

  constructor(mapping: PropertyMapping | undefined, { qos = 1, changes = false }: PublishMode) {
    this.#mapping = mapping;
    this.#hasPacketId = qos > 0;
    this.#changes = changes;
  }

  /** Whether messages within the current limits may be over those of a new connection. */
  isOver({ maximumPacketSize }: ServerLimits): boolean {
    return this.maximumPacketSize > maximumPacketSize;
  }

  /** Obeys the limits of a new connection. */
  onConnection(version: ProtocolVersion, { maximumPacketSize }: ServerLimits): void {
    this.version = version;
    this.maximumPacketSize = maximumPacketSize;
    this.#last = undefined;
  }

  /**
   * Encodes an envelope.
   *
   * @throws {RangeError} the topic is not one that can be published to, or a property does not fit
   */
  set(envelope: Envelope): void {
    if (envelope === this.#last) return;
    const { routingKey, properties } = envelope;
    this.#last = undefined;
    if (!isTopicName(routingKey)) throw topicError(routingKey);
    this.topic = encodeText(routingKey, "topic");
    this.properties.length = 0;
    if (this.version === 5) this.#mapping?.write(properties, this.properties);
    if (!this.#changes) this.#last = envelope;
  }

  /** The size limit of a payload with the envelope of `set`, in bytes. */
  get room(): number {
    const limit = Math.min(this.maximumPacketSize, MAX_REMAINING + FIXED_HEADER);
    const rest = sizeofPublish(this.version, this.#hasPacketId, this.topic.length, this.properties.length, 0);
    // The length in the fixed header takes 1 to 4 bytes.
    for (let size = 1;; size++) {
      const room = limit - 1 - size - rest;
      if (size === 4 || sizeofVariable(Math.max(0, room + rest)) <= size) return room;
    }
  }
}

function topicError(topic: string): RangeError {
  const shown = topic.length > 100 ? `${topic.slice(0, 100)}…` : topic;
  return new RangeError(
    topic === ""
      ? "Cannot publish a message without a topic"
      : /[+#]/.test(topic)
      ? `Cannot publish to '${shown}': a topic has no wildcards (+ and #)`
      : `Cannot publish to '${shown}': a topic has at most 65535 bytes of UTF-8, without U+0000`,
  );
}

/** Checks that a server can do what the mode wants. @throws {IncompatiblePeerError} it cannot */
export function checkMode({ qos = 1, retain = false }: PublishMode, limits: ServerLimits): void {
  if (qos > limits.maximumQos) {
    throw new IncompatiblePeerError(
      `The server supports no QoS above ${limits.maximumQos}: messages cannot be published with QoS ${qos}`,
    );
  }
  if (retain && !limits.retains) {
    throw new IncompatiblePeerError("The server does not support retained messages");
  }
}
