/** Request on MQTT servers. */
import { IncompatiblePeerError, MqcatError, UnreachableError } from "../../errors.ts";
import { Link } from "../../link/link.ts";
import type { MqttConnection } from "../../mqtt/client/connection.ts";
import { Incoming } from "../../mqtt/client/incoming.ts";
import { protocolOf } from "../../mqtt/client/protocol.ts";
import type { PacketPort } from "../../mqtt/client/publisher_port.ts";
import { Sending } from "../../mqtt/client/sending.ts";
import { Session } from "../../mqtt/client/session.ts";
import { subscribe } from "../../mqtt/client/subscriptions.ts";
import type { MqttAddress, MqttTarget } from "../../mqtt/client/url.ts";
import { PUBACK } from "../../mqtt/packet_type.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { Envelope } from "../contract.ts";
import {
  Requester,
  type RequesterOptions,
  type RequestEvents,
  type RequestLink,
  type RequestPort,
} from "../requester.ts";
import { AmqpMapping } from "./mapping.ts";
import { type MqttOptions, topicOf } from "./send.ts";

/** Options of `request`. */
export type RequestOptions = MqttOptions & RequesterOptions;

/**
 * Sends requests to the topic of an address, with QoS 1. The envelopes name it: see `topicOf`. The replies come on a topic
 * of the client, which the requests name as their response topic: the server must speak MQTT 5.0. A first request that
 * nobody receives is a permanent failure, if the server reports it; later ones are sent again.
 *
 * @throws {EndpointError} the address names no topic
 */
export function request(target: MqttTarget, options: RequestOptions): Requester {
  const topic = topicOf(target);
  return new Requester((events) => new MqttRequestLink(target.addresses, topic, options, events), options);
}

/** The time until a request that nobody received is sent again, in milliseconds. */
const RETRY_MS = 1000;

class MqttRequestLink implements RequestLink {
  readonly replyTo: string;

  readonly #topic: string;
  readonly #events: RequestEvents;
  readonly #link: Link<MqttAddress, MqttConnection>;
  readonly #sending: Sending;
  readonly #incoming: Incoming;
  /** Whether the last request came back, and whether an earlier one did not. */
  #isReturned = false;
  #isReceived = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(addresses: readonly MqttAddress[], topic: string, options: MqttOptions, events: RequestEvents) {
    const session = new Session(options, 0);
    const mapping = new AmqpMapping();
    this.replyTo = `mqcat/replies/${session.clientId}`;
    this.#topic = topic;
    this.#events = events;
    // The correlation id is another one in each request.
    this.#sending = new Sending(session, mapping, { qos: 1, mandatory: true, changes: true });
    this.#incoming = new Incoming(mapping, options.maxMessageSize ?? Infinity);
    this.#link = new Link(protocolOf(session), addresses, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => {
        clearTimeout(this.#retry);
        this.#retry = undefined;
        events.onDown();
      },
    });
  }

  start(): Promise<void> {
    return this.#link.start();
  }

  get changed(): Signal {
    return this.#link.changed;
  }

  get failure(): Error | undefined {
    return this.#link.failure;
  }

  check(envelope: Envelope): void {
    this.#sending.check(envelope);
  }

  close(limit?: number): Promise<void> {
    return this.#link.close(limit);
  }

  async #onUp(connection: MqttConnection): Promise<void> {
    if (connection.version < 5) {
      throw new IncompatiblePeerError(
        "The server speaks only MQTT 3.1.1, in which a request cannot name the topic for its reply",
      );
    }
    const port = await this.#sending.open(connection, {
      onConfirm: (_tag, _multiple, taken, reason) => this.#onConfirm(taken, reason),
      onReturn: () => this.#onReturn(connection),
      // Confirms make room.
      onBatchEnd: () => this.#events.onWritable(),
      onWritable: () => this.#events.onWritable(),
      onFailure: (error) => this.#link.fail(error),
    });
    this.#receive(connection);
    await subscribe(connection, [{ filter: this.replyTo }]);
    this.#events.onUp(new MqttRequestPort(connection, port));
  }

  #receive(connection: MqttConnection): void {
    const { events } = connection;
    const endConfirms = events.onBatchEnd;
    const incoming = this.#incoming;
    let fresh = false;
    events.onPublish = (flags, bytes, start, end) => {
      incoming.read(flags, bytes, start, end, connection.version);
      const { qos, packetId } = incoming.fields;
      if (qos > 0) connection.encoder.ack(PUBACK, packetId);
      fresh = true;
      this.#events.onDelivery(incoming.delivery(0));
    };
    events.onBatchEnd = () => {
      endConfirms?.();
      if (fresh) this.#events.onBatchEnd();
      fresh = false;
    };
  }

  #onConfirm(taken: boolean, reason: string | undefined): void {
    if (taken) {
      this.#isReceived ||= !this.#isReturned;
      this.#isReturned = false;
    } else {
      const text = `The server refused a request to '${this.#topic}': ${reason}`;
      this.#link.fail(new MqcatError("ERR_MQTT", text));
    }
  }

  #onReturn(connection: MqttConnection): void {
    this.#isReturned = true;
    const text = `Nobody subscribes to '${this.#topic}', so a request has no reply`;
    if (!this.#isReceived) return this.#link.fail(new MqcatError("ERR_MQTT", text));
    // The other side may come back: the next connection sends the request again.
    this.#retry ??= setTimeout(() => connection.abort(new UnreachableError(text)), RETRY_MS);
  }
}

/** Sends on the connection that receives the replies. */
class MqttRequestPort implements RequestPort {
  readonly #connection: MqttConnection;
  readonly #port: PacketPort;
  #tag = 0;

  constructor(connection: MqttConnection, port: PacketPort) {
    this.#connection = connection;
    this.#port = port;
  }

  get full(): boolean {
    return this.#port.full;
  }

  send(envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    this.#port.publish(++this.#tag, envelope, bytes, start, end);
  }

  flush(): void {
    this.#port.flush();
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }
}
