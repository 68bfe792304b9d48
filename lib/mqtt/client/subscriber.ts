import { ClosedError } from "../../errors.ts";
import type { Delivery, Receipt } from "../../link/message.ts";
import type { LinkOptions } from "../../link/options.ts";
import { LinkedReceiver } from "../../link/linked_receiver.ts";
import type { AckFields } from "../fields.ts";
import { protocolError } from "../mqtt_error.ts";
import { type AckType, packetName, PUBACK, PUBCOMP, PUBREC, PUBREL } from "../packet_type.ts";
import { REASON } from "../reason_code.ts";
import type { MqttConnection } from "./connection.ts";
import { Incoming } from "./incoming.ts";
import type { PropertyMapping } from "./mapping.ts";
import { PendingAcks } from "./pending_acks.ts";
import { protocolOf } from "./protocol.ts";
import { Session, type SessionOptions } from "./session.ts";
import { checkFilters, subscribe, type Subscription, unsubscribe } from "./subscriptions.ts";
import type { MqttAddress } from "./url.ts";

/** The default time limit for the reply to UNSUBSCRIBE, in milliseconds. */
const CANCEL_MS = 10_000;

/** Options of a subscriber. */
export interface SubscriberOptions extends LinkOptions, SessionOptions {
  /** Converts the properties of messages. Default: messages have no properties */
  readonly mapping?: PropertyMapping | undefined;
  /** Called for each message, which is valid during the call only. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called after all messages of one received chunk. */
  readonly onBatchEnd?: () => void;
}

/**
 * Subscribes with manual acknowledgements: the PUBACK of a message, or its PUBREC, is sent when the user has acknowledged
 * it and all messages before it. It subscribes again on each connection. Messages that are published
 * meanwhile are lost, unless the session outlives the connection.
 */
export class MqttSubscriber extends LinkedReceiver<MqttAddress, MqttConnection> {
  readonly #subscriptions: readonly Subscription[];
  readonly #options: SubscriberOptions;
  readonly #session: Session;
  readonly #incoming: Incoming;
  #acks = new PendingAcks();
  /** The identifiers of QoS 2 whose PUBREC was sent [MQTT-4.3.3-10]. */
  #received = new Set<number>();
  /** Those that were delivered and not acknowledged. */
  #open = new Set<number>();
  #isSubscribed = false;
  /** Whether a message was delivered since the last `onBatchEnd`. */
  #fresh = false;
  #cancelled = false;

  /** @throws {RangeError} a filter is not valid */
  constructor(
    addresses: readonly MqttAddress[],
    subscriptions: readonly Subscription[],
    options: SubscriberOptions,
  ) {
    checkFilters(subscriptions);
    const session = new Session(options);
    super(protocolOf(session), addresses, options);
    this.#session = session;
    this.#subscriptions = subscriptions;
    this.#options = options;
    this.#incoming = new Incoming(options.mapping, options.maxMessageSize ?? Infinity);
  }

  /** Acknowledges a message, or all up to it. Ignores messages of a lost connection. Call `flush` afterwards. */
  ack({ generation, tag }: Receipt, multiple: boolean): void {
    if (generation === this.generation) this.#acks.settle(tag, multiple, 0);
  }

  /**
   * Rejects a message. With `requeue` it stays unacknowledged: the server delivers it again on the next connection, if the
   * session outlives this one. Call `flush` afterwards.
   */
  nack({ generation, tag }: Receipt, requeue: boolean): void {
    if (generation !== this.generation) return;
    if (requeue) this.#acks.leave(tag);
    else this.#acks.settle(tag, false, REASON.unspecified);
  }

  /** Writes the acknowledgements. */
  override flush(): void {
    const { connection } = this;
    if (connection === undefined || connection.over) return;
    this.#acks.send(this.#acknowledge);
    connection.flush();
  }

  /**
   * Ends the deliveries. Delivered messages can still be acknowledged.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 10000
   */
  async cancel(limit = CANCEL_MS): Promise<void> {
    this.#cancelled = true;
    const { connection } = this;
    // The subscriptions of a session that is kept must stay.
    if (connection === undefined || !this.#isSubscribed || this.#session.isKept) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, limit));
    const done = unsubscribe(connection, this.#subscriptions).catch(() => {
      // A lost connection delivers nothing, too.
    });
    await Promise.race([done, late]);
    clearTimeout(timer);
  }

  /** @ignore */
  protected override async onUp(connection: MqttConnection): Promise<void> {
    this.generation++;
    this.#isSubscribed = false;
    this.connection = connection;
    // What was acknowledged when the last connection was lost already is not delivered again.
    if (connection.sessionPresent) this.#acks.send(this.#note);
    else this.#received.clear();
    this.#acks = new PendingAcks();
    this.#open.clear();
    connection.events = {
      onPublish: (flags, bytes, start, end) => this.#onPublish(connection, flags, bytes, start, end),
      onAck: (type, fields) => this.#onAck(connection, type, fields),
      onBatchEnd: () => {
        this.flush();
        if (!this.#fresh) return;
        this.#fresh = false;
        this.#options.onBatchEnd?.();
      },
    };
    connection.begin();
    if (this.#cancelled) throw new ClosedError("The subscription was cancelled");
    await subscribe(connection, this.#subscriptions);
    this.#isSubscribed = true;
    this.#session.fresh = false;
  }

  #onPublish(connection: MqttConnection, flags: number, bytes: Uint8Array, start: number, end: number): void {
    const incoming = this.#incoming;
    incoming.read(flags, bytes, start, end, connection.version);
    const { qos, packetId } = incoming.fields;
    if (qos === 2 && this.#received.has(packetId)) return connection.encoder.ack(PUBREC, packetId);
    if (qos === 2 && this.#open.has(packetId) || this.#cancelled) return;
    if (qos === 2) this.#open.add(packetId);
    this.#fresh = true;
    this.#options.onDelivery(incoming.delivery(this.#acks.add(packetId, qos)));
  }

  #onAck(connection: MqttConnection, type: AckType, { packetId }: AckFields): void {
    if (type !== PUBREL) throw protocolError(`The server sent ${packetName(type)} to a subscriber`);
    const known = this.#received.delete(packetId);
    connection.encoder.ack(PUBCOMP, packetId, known ? 0 : REASON.packetIdNotFound);
  }

  /** Before MQTT 5.0 an acknowledgement has no code, so a rejected message is only discarded. */
  readonly #acknowledge = (packetId: number, qos: number, code: number): void => {
    const { encoder } = this.connection!;
    if (qos === 1) return encoder.ack(PUBACK, packetId, code);
    this.#note(packetId, qos, code);
    encoder.ack(PUBREC, packetId, code);
  };

  /** Notes that a message of QoS 2 was acknowledged. */
  readonly #note = (packetId: number, qos: number, code: number): void => {
    if (qos !== 2) return;
    this.#open.delete(packetId);
    // A PUBREC with an error is the end of the message [MQTT-4.3.3-9].
    if (code < REASON.unspecified || this.connection!.version < 5) this.#received.add(packetId);
  };
}
