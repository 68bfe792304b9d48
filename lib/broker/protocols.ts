import type { Protocol } from "./protocol.ts";

/**
 * The protocols that clients can speak to the broker. Endpoints without a scheme, and those that have no scheme of a
 * protocol (`inproc`, `ipc`), are served with the first one. Code is loaded when the broker first listens for it.
 */
export const PROTOCOLS: readonly [Protocol, ...Protocol[]] = [
  {
    schemes: [
      { scheme: "amqp", port: 5672, transport: "tcp" },
      { scheme: "amqps", port: 5671, transport: "tls" },
    ],
    subprotocols: ["amqp"],
    load: async (host) => new (await import("./amqp/server.ts")).AmqpServer(host),
  },
  {
    schemes: [
      { scheme: "mqtt", port: 1883, transport: "tcp" },
      { scheme: "mqtts", port: 8883, transport: "tls" },
    ],
    subprotocols: ["mqtt", "mqttv3.1"],
    load: async (host) => new (await import("./mqtt/server.ts")).MqttServer(host),
  },
  {
    schemes: [
      { scheme: "stomp", port: 61613, transport: "tcp" },
      { scheme: "stomps", port: 61614, transport: "tls" },
    ],
    subprotocols: ["v12.stomp", "v11.stomp", "v10.stomp"],
    load: async (host) => new (await import("./stomp/server.ts")).StompServer(host),
  },
];
