import type { Envelope } from "../../link/message.ts";
import type { Port, PortEvents } from "../../link/port.ts";
import type { AckFields } from "../fields.ts";
import { protocolError } from "../mqtt_error.ts";
import type { PacketEncoder } from "../packet_encoder.ts";
import { type AckType, packetName, PUBACK, PUBCOMP, PUBREC, PUBREL } from "../packet_type.ts";
import { PROPERTY } from "../property_table.ts";
import { REASON, reasonName } from "../reason_code.ts";
import type { MqttConnection } from "./connection.ts";
import type { Outgoing, PublishMode } from "./outgoing.ts";
import { FREE, type PacketIds, RELEASED, SENT } from "./packet_ids.ts";

const DUP = 8;

/** Publishes on one connection. A message is confirmed by PUBACK or PUBCOMP; one of QoS 0 when the system has taken it. */
export class PacketPort implements Port {
  /** The identifiers of unsettled messages, for the next connection. */
  readonly ids: PacketIds;

  readonly #connection: MqttConnection;
  readonly #encoder: PacketEncoder;
  readonly #events: PortEvents;
  readonly #outgoing: Outgoing;
  readonly #qos: number;
  readonly #flags: number;
  readonly #mandatory: boolean;
  #fresh = false;
  /** The last message that was encoded, and the last one of the current write. */
  #encoded = 0;
  #writing = 0;

  constructor(
    connection: MqttConnection,
    events: PortEvents,
    outgoing: Outgoing,
    ids: PacketIds,
    { qos = 1, retain = false, mandatory = false }: PublishMode,
  ) {
    this.ids = ids;
    this.#connection = connection;
    this.#encoder = connection.encoder;
    this.#events = events;
    this.#outgoing = outgoing;
    this.#qos = qos;
    this.#flags = qos << 1 | (retain ? 1 : 0);
    this.#mandatory = mandatory;
    connection.events = {
      onAck: (type, fields) => this.#onAck(type, fields),
      onBatchEnd: () => this.#onBatchEnd(),
      onWriting: () => this.#writing = this.#encoded,
      onWritten: () => this.#onWritten(),
    };
  }

  get full(): boolean {
    return this.#connection.full || this.#connection.over || this.#qos > 0 && this.ids.full;
  }

  publish(tag: number, envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    const outgoing = this.#outgoing;
    outgoing.set(envelope);
    const { topic, properties } = outgoing;
    this.#encoded = tag;
    let id = 0;
    let flags = this.#flags;
    if (this.#qos > 0) {
      id = this.ids.take(tag);
      const { adoptedState } = this.ids;
      // The session continues: the server knows the message, or has it already [MQTT-4.4.0-1].
      if (adoptedState === RELEASED) return this.#encoder.ack(PUBREL, id);
      if (adoptedState === SENT) flags |= DUP;
    }
    this.#encoder.publish(
      flags,
      id,
      topic,
      topic.length,
      properties.bytes,
      properties.length,
      bytes,
      start,
      end,
    );
  }

  flush(): void {
    this.#connection.flush();
  }

  #onAck(type: AckType, fields: AckFields): void {
    const { packetId, reasonCode } = fields;
    const state = this.ids.state(packetId);
    switch (type) {
      case PUBACK:
        // RabbitMQ 3.10 answers QoS 2 with a PUBACK, too.
        if (state !== SENT) return;
        this.#noteReturn(packetId, reasonCode);
        return this.#settle(fields, reasonCode);
      case PUBREC:
        if (state === FREE) return this.#encoder.ack(PUBREL, packetId, REASON.packetIdNotFound);
        if (reasonCode >= REASON.unspecified) return this.#settle(fields, reasonCode); // [MQTT-4.3.3-4]
        this.#noteReturn(packetId, reasonCode);
        this.ids.release(packetId);
        return this.#encoder.ack(PUBREL, packetId);
      case PUBCOMP:
        if (state === RELEASED) this.#settle(fields);
        return;
      default:
        throw protocolError(`The server sent ${packetName(type)} to a publisher`);
    }
  }

  /** @param code the reason code of the answer to the PUBLISH; that of a PUBCOMP refuses nothing */
  #settle({ packetId, properties }: AckFields, code = 0): void {
    this.#fresh = true;
    const tag = this.ids.free(packetId);
    if (code < REASON.unspecified) return this.#events.onConfirm(tag, false, true);
    const text = properties.text(PROPERTY.reasonString.id);
    this.#events.onConfirm(tag, false, false, `${reasonName(code)}${text ? `: ${text}` : ""}`);
  }

  #noteReturn(packetId: number, reasonCode: number): void {
    if (reasonCode !== REASON.noMatchingSubscribers || !this.#mandatory) return;
    const tag = this.ids.tag(packetId);
    this.#events.onReturn(
      reasonCode,
      "no client subscribes to the topic",
      ({ firstTag }, index) => firstTag > 0 && firstTag + index === tag,
    );
  }

  /** Confirms make room, so the publisher continues after them. */
  #onBatchEnd(): void {
    if (!this.#fresh) return;
    this.#fresh = false;
    this.#events.onBatchEnd();
  }

  #onWritten(): void {
    if (this.#qos > 0 || this.#writing === 0) return this.#events.onWritable();
    this.#events.onConfirm(this.#writing, true, true);
    this.#writing = 0;
    this.#events.onBatchEnd();
  }
}
