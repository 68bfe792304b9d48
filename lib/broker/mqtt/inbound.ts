import type { TracedClient } from "../core/firehose.ts";
import { copyOf } from "../../mqtt/integers.ts";
import { MqttError, protocolError } from "../../mqtt/mqtt_error.ts";
import { type AckType, type ProtocolVersion, PUBACK, PUBCOMP, PUBREC } from "../../mqtt/packet_type.ts";
import { PROPERTY } from "../../mqtt/property_table.ts";
import { REASON } from "../../mqtt/reason_code.ts";
import type { MessageStats } from "../core/message_stats.ts";
import type { Access } from "../core/users/user_store.ts";
import type { IncomingMessage } from "./messages/incoming.ts";
import { EXCHANGE, exchangeSeparators, MAX_NAME } from "./names.ts";
import { replyFor } from "./replies.ts";
import type { Session } from "./sessions/session.ts";
import type { MqttSpace } from "./sessions/space.ts";

/** The highest topic alias that clients may use. */
export const TOPIC_ALIASES = 64;
/** Limit of messages of QoS 1 and 2 from a client that are not completed. */
export const RECEIVE_MAXIMUM = 1024;

/** What the publishing part of a connection needs of the connection. */
export interface PublishingClient extends TracedClient {
  readonly version: ProtocolVersion;
  readonly access: Access;
  readonly session: Session;
  readonly stats: MessageStats;
  readonly vhostSpace: MqttSpace;
  /** The number of messages of QoS 1 that are not acknowledged. */
  readonly pendingPubacks: number;
  acknowledge(type: AckType, packetId: number, reasonCode: number, position: number): void;
  /** Stops reading until the broker takes messages again. */
  hold(): void;
}

/** The publishing part of a connection: messages of the client, with their QoS. */
export class Inbound {
  readonly #client: PublishingClient;
  /** Topics by alias (3.3.2.3.4). */
  readonly #aliases: (Uint8Array | undefined)[] = [];

  constructor(client: PublishingClient) {
    this.#client = client;
  }

  /** PUBLISH (3.3). @throws {MqttError} the connection must be closed */
  publish(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const { version, session } = this.#client;
    const { fields } = this.#client.vhostSpace;
    fields.read(flags, bytes, start, end, version);
    const { qos, packetId, properties } = fields;
    if (version === 5) {
      if (properties.has(PROPERTY.subscriptionIdentifiers.id)) { // [MQTT-3.3.4-6]
        throw protocolError("A PUBLISH of a client has a subscription identifier");
      }
      if (
        qos > 0 && this.#client.pendingPubacks + session.inbound.size >= RECEIVE_MAXIMUM &&
        !session.inbound.has(packetId)
      ) {
        throw new MqttError( // [MQTT-3.3.4-9]
          REASON.receiveMaximumExceeded,
          `The client has more than ${RECEIVE_MAXIMUM} messages that are not completed`,
        );
      }
    }
    const alias = properties.number(PROPERTY.topicAlias.id);
    if (alias < 0) this.#route(bytes, fields.topicStart, fields.topicEnd);
    else {
      const topic = this.#topicOf(alias, bytes);
      this.#route(topic, 0, topic.length);
    }
  }

  /** PUBREL (3.6): the packet identifier is free again [MQTT-4.3.3-11]. */
  release(packetId: number): void {
    const { session, version } = this.#client;
    const marker = session.inbound.get(packetId);
    if (marker !== undefined) {
      session.inbound.delete(packetId);
      session.state?.remove(marker);
    }
    const known = marker !== undefined || version < 5;
    this.#client.acknowledge(PUBCOMP, packetId, known ? 0 : REASON.packetIdNotFound, 0);
  }

  #topicOf(alias: number, bytes: Uint8Array): Uint8Array {
    const { topicStart, topicEnd } = this.#client.vhostSpace.fields;
    if (alias > TOPIC_ALIASES) { // [MQTT-3.3.2-9]
      throw new MqttError(
        REASON.topicAliasInvalid,
        `A PUBLISH has the topic alias ${alias}: the maximum is ${TOPIC_ALIASES}`,
      );
    }
    if (topicEnd > topicStart) {
      if (topicEnd - topicStart > MAX_NAME) return copyOf(bytes, topicStart, topicEnd);
      return this.#aliases[alias] = copyOf(bytes, topicStart, topicEnd);
    }
    const known = this.#aliases[alias];
    if (known === undefined) throw protocolError(`A PUBLISH has the unknown topic alias ${alias}`);
    return known;
  }

  #route(topic: Uint8Array, start: number, end: number): void {
    const { session, vhostSpace: space } = this.#client;
    const { fields } = this.#client.vhostSpace;
    const { qos, packetId } = fields;
    // [MQTT-4.3.3-10]: it was published before; the answer is lost or on its way.
    if (qos === 2 && session.inbound.has(packetId)) {
      return this.#client.acknowledge(PUBREC, packetId, 0, space.core.journal.position);
    }
    if (end - start > MAX_NAME) {
      return this.#refuse(
        new MqttError(
          REASON.topicNameInvalid,
          `A topic has ${end - start} bytes: the limit is ${MAX_NAME}`,
        ),
      );
    }
    const state = qos === 2 ? session.state : undefined;
    const { incoming: message } = space;
    const clientId = space.noLocal > 0 ? session.clientId : undefined;
    message.set(fields, topic, start, end, state === undefined ? 0 : packetId, clientId, false);
    try {
      this.#publish(message, topic, start, end, state);
    } catch (error) {
      const reply = replyFor(error);
      if (reply.reasonCode !== REASON.notAuthorized) throw reply;
      this.#refuse(reply);
    } finally {
      message.release();
    }
  }

  #publish(
    message: IncomingMessage,
    topic: Uint8Array,
    start: number,
    end: number,
    state: Session["state"],
  ): void {
    const { user, access, session, vhostSpace: space } = this.#client;
    const { intake } = space.core;
    const { stats } = this.#client;
    const { stats: vhostStats } = space.vhost;
    const { fields } = this.#client.vhostSpace;
    const { qos, packetId } = fields;
    access.check("write", "exchange", EXCHANGE);
    access.checkTopic("write", space.vhost.exchanges, EXCHANGE, message.key);
    let position = 0;
    if (fields.retain && !space.retain(fields, topic, start, end)) {
      space.onRetainedFull(exchangeSeparators(message.key));
      if (qos > 0) {
        return this.#refuse(new MqttError(REASON.quotaExceeded, "The limit of retained messages is reached"));
      }
    }
    if (fields.retain) position = intake.position;
    const marker = state?.nextSeq ?? -1;
    intake.publish(
      space.vhost,
      user,
      EXCHANGE,
      message.key,
      message,
      message.scan,
      false,
      state?.queue,
      this.#client,
    );
    stats.published++;
    vhostStats.published++;
    const { routed, taken, blocked } = intake;
    if (!routed) {
      stats.unroutable++;
      vhostStats.unroutable++;
    }
    if (blocked !== undefined && space.core.blocked !== undefined) this.#client.hold();
    if (qos === 0) return;
    vhostStats.confirmable++;
    if (!taken) {
      state?.remove(marker);
      return this.#refuse(new MqttError(REASON.quotaExceeded, "A queue is full and takes no more messages"));
    }
    if (qos === 2) session.inbound.set(packetId, marker);
    stats.confirmed++;
    vhostStats.confirmed++;
    const code = routed ? 0 : REASON.noMatchingSubscribers;
    const type = qos === 1 ? PUBACK : PUBREC;
    this.#client.acknowledge(type, packetId, code, Math.max(position, intake.position));
  }

  /** Refuses a message: MQTT 5.0 has a code for that, and earlier versions close the connection [MQTT-3.3.5-2]. */
  #refuse(error: MqttError): void {
    const { version } = this.#client;
    const { qos, packetId } = this.#client.vhostSpace.fields;
    if (version < 5 || error.reasonCode === REASON.topicNameInvalid && qos === 0) throw error;
    if (qos > 0) this.#client.acknowledge(qos === 1 ? PUBACK : PUBREC, packetId, error.reasonCode, 0);
  }
}
