/** Request on MQTT servers. */
import { IncompatiblePeerError } from "../../errors.ts";
import type { MqttConnection } from "../../mqtt/client/connection.ts";
import { DeliveryReader } from "../../mqtt/client/delivery_reader.ts";
import { protocolOf } from "../../mqtt/client/protocol.ts";
import { MqttPublishing } from "../../mqtt/client/publisher.ts";
import { Session } from "../../mqtt/client/session.ts";
import { subscribe } from "../../mqtt/client/subscriptions.ts";
import type { MqttAddress, MqttTarget } from "../../mqtt/client/url.ts";
import { MqttError } from "../../mqtt/mqtt_error.ts";
import { PUBACK } from "../../mqtt/packet_type.ts";
import { REASON } from "../../mqtt/reason_code.ts";
import { PortLink, type RequestProtocol } from "../request_link.ts";
import { Requester, type RequesterOptions } from "../requester.ts";
import { AmqpMapping } from "./mapping.ts";
import { type MqttOptions, topicOf } from "./send.ts";

/** The topics of replies begin with this; the client identifier follows. */
const REPLIES = "mqcat/replies/";

/** Options of `request`. */
export type RequestOptions = MqttOptions & RequesterOptions;

/**
 * Sends requests to the topic of an address, with QoS 1, a response topic and correlation data. The envelopes name the
 * topic. A request that the server refuses, or that it says no subscription matches, is a permanent failure: MQTT keeps no
 * requests for services that are not connected.
 *
 * @throws {EndpointError} the address names no topic
 */
export function request(target: MqttTarget, options: RequestOptions): Requester {
  const topic = topicOf(target);
  return new Requester(
    (events) => new PortLink(responses(topic, options), target.addresses, options, events),
    options,
  );
}

/** Requests whose replies come to a topic of their own, which is subscribed to on the same connection. */
function responses(topic: string, options: RequestOptions): RequestProtocol<MqttAddress, MqttConnection> {
  const session = new Session(options);
  const mapping = new AmqpMapping();
  const publishing = new MqttPublishing(session, mapping, { qos: 1, mandatory: true });
  const reader = new DeliveryReader(mapping, options.maxMessageSize);
  const replyTo = `${REPLIES}${session.clientId}`;
  return {
    protocol: protocolOf(session),
    replyTo,
    async open(connection, events) {
      requireVersion5(connection, "requests");
      const port = await publishing.open(connection, events);
      connection.events.onPublish = (flags, bytes, start, end) => {
        const { qos, packetId } = reader.read(flags, bytes, start, end, connection.version);
        if (qos > 0) connection.encoder.ack(PUBACK, packetId);
        events.onDelivery(reader.delivery(0, bytes));
      };
      connection.events.onBatchEnd = () => events.onBatchEnd();
      await subscribe(connection, [{ filter: replyTo, qos: 1 }]);
      return port;
    },
    check: (envelope) => publishing.check(envelope),
    undelivered: (reason, isReturned) =>
      isReturned
        ? new Error(`nobody answers requests at the topic '${topic}': ${reason}`)
        : new MqttError(REASON.unspecified, `The server refused a request: ${reason || "it gave no reason"}`),
  };
}

/** @throws {IncompatiblePeerError} the server speaks an older version */
export function requireVersion5(connection: MqttConnection, what: string): void {
  if (connection.version >= 5) return;
  throw new IncompatiblePeerError(
    `The server speaks only MQTT 3.1.1, which has no ${what}: response topics came with MQTT 5.0`,
  );
}
