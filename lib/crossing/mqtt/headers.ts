/** The headers of AMQP messages for what has no other place in them. */

/** Headers of messages that cross protocols, and of those that only the broker reads. */
export const HEADER = {
  /** The QoS of the publish, if the delivery mode does not tell it: 2, and 0 of a stored message. As in RabbitMQ. */
  qos: "x-mqtt-publish-qos",
  retain: "x-mqtt-retain",
  /** The packet identifier of a QoS 2 publish, which the state of the publisher's session refers to. */
  packetId: "x-mqtt-packet-id",
  /** The client identifier of the publisher, if a subscriber wants no messages of its own. */
  clientId: "x-mqtt-client-id",
  /** The filter of the only subscription that the message is for, of shared subscriptions and retained messages. */
  filter: "x-mqtt-filter",
  /** User properties that headers cannot express: names that repeat, or that mean something in AMQP. */
  userProperties: "x-mqtt-user-properties",
  /** Correlation data, response topic and content type over 255 bytes. */
  correlationData: "x-mqtt-correlation-data",
  responseTopic: "x-mqtt-response-topic",
  contentType: "x-mqtt-content-type",
  payloadFormat: "x-mqtt-payload-format",
  /** The seconds of a message expiry above ten years, the highest time to live of a broker. */
  moreExpiry: "x-mqtt-more-expiry",
} as const;
