/** Request on MQTT servers. */
import { IncompatiblePeerError, MqcatError, UnreachableError } from "../../errors.ts";
import type { PortEvents } from "../../link/port.ts";
import type { MqttConnection } from "../../mqtt/client/connection.ts";
import { Incoming } from "../../mqtt/client/incoming.ts";
import { protocolOf } from "../../mqtt/client/protocol.ts";
import { Sending } from "../../mqtt/client/sending.ts";
import { Session } from "../../mqtt/client/session.ts";
import { subscribe } from "../../mqtt/client/subscriptions.ts";
import type { MqttAddress, MqttTarget } from "../../mqtt/client/url.ts";
import { PUBACK } from "../../mqtt/packet_type.ts";
import type { Delivery } from "../contract.ts";
import { PortLink, type RequestProtocol } from "../request_link.ts";
import { Requester, type RequesterOptions } from "../requester.ts";
import { AmqpMapping } from "./mapping.ts";
import { type MqttOptions, topicOf } from "./send.ts";

/** Options of `request`. */
export type RequestOptions = MqttOptions & RequesterOptions;

/**
 * Sends requests to the topic of an address, with QoS 1. The envelopes name it: see `topicOf`. The replies come on a topic
 * of the client, which the requests name as their response topic: the server must speak MQTT 5.0. A first request that
 * no client receives is a permanent failure, if the server reports it; later ones are sent again.
 *
 * @throws {EndpointError} the address names no topic
 */
export function request(target: MqttTarget, options: RequestOptions): Requester {
  const topic = topicOf(target);
  return new Requester(
    (events) => new PortLink(new Responses(topic, options), target.addresses, options, events),
    options,
  );
}

/** The time until a request that no client received is sent again, in milliseconds. */
const RETRY_MS = 1000;

/** Requests whose replies come on a topic of the client, which is subscribed to on the same connection. */
class Responses implements RequestProtocol<MqttAddress, MqttConnection> {
  readonly protocol: RequestProtocol<MqttAddress, MqttConnection>["protocol"];
  readonly replyTo: string;

  readonly #topic: string;
  readonly #sending: Sending;
  readonly #incoming: Incoming;
  /** Whether the last request came back, and whether an earlier one did not. */
  #isReturned = false;
  #isReceived = false;

  constructor(topic: string, options: RequestOptions) {
    const session = new Session(options, 0);
    const mapping = new AmqpMapping();
    this.protocol = protocolOf(session);
    this.replyTo = `mqcat/replies/${session.clientId}`;
    this.#topic = topic;
    // The correlation id is another one in each request.
    this.#sending = new Sending(session, mapping, { qos: 1, mandatory: true, changes: true });
    this.#incoming = new Incoming(mapping, options.maxMessageSize ?? Infinity);
  }

  check(envelope: Parameters<Sending["check"]>[0]): void {
    this.#sending.check(envelope);
  }

  async open(
    connection: MqttConnection,
    events: PortEvents & { onDelivery(delivery: Delivery): void },
  ): ReturnType<Sending["open"]> {
    if (connection.version < 5) {
      throw new IncompatiblePeerError(
        "The server speaks only MQTT 3.1.1, in which a request cannot name the topic for its reply",
      );
    }
    let retrying: ReturnType<typeof setTimeout> | undefined;
    connection.closed.then(() => clearTimeout(retrying));
    // The other side may come back: the next connection sends the request again.
    const retry = () => connection.abort(new UnreachableError(this.undelivered("", true).message));
    const port = await this.#sending.open(connection, {
      ...events,
      onConfirm: (tag, multiple, taken, reason) => {
        this.#isReceived ||= taken && !this.#isReturned;
        this.#isReturned = false;
        events.onConfirm(tag, multiple, taken, reason);
      },
      onReturn: (code, reason, isIt) => {
        this.#isReturned = true;
        if (this.#isReceived) retrying ??= setTimeout(retry, RETRY_MS);
        else events.onReturn(code, reason, isIt);
      },
    });
    connection.events.onPublish = (flags, bytes, start, end) => {
      const incoming = this.#incoming;
      incoming.read(flags, bytes, start, end, connection.version);
      const { qos, packetId } = incoming.fields;
      if (qos > 0) connection.encoder.ack(PUBACK, packetId);
      events.onDelivery(incoming.delivery(0));
    };
    connection.events.onBatchEnd = () => events.onBatchEnd();
    await subscribe(connection, [{ filter: this.replyTo }]);
    return port;
  }

  undelivered(reason: string, isReturned: boolean): Error {
    return new MqcatError(
      "ERR_MQTT",
      isReturned
        ? `No client subscribes to '${this.#topic}', so a request has no reply`
        : `The server refused a request to '${this.#topic}': ${reason}`,
    );
  }
}
