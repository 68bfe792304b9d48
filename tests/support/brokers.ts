/** The brokers for the tests of our client and of the queue commands. */
import { it } from "node:test";
import { amqpError } from "../../lib/amqp/amqp_error.ts";
import { Broker } from "../../lib/broker/server.ts";
import { rabbitMq, stopRabbitMq, test } from "./rabbitmq.ts";

/** A running broker on loopback. */
export interface TestBroker {
  /** `amqp://guest:guest@127.0.0.1:port`. */
  readonly url: string;
  readonly port: number;
  /** The base URL of the HTTP API. */
  readonly http: string;
  /** Adds a virtual host with full permissions for `guest`. */
  addVhost(name: string): Promise<void>;
  /** Adds a user without permissions. */
  addUser(name: string, password: string): Promise<void>;
  /** Closes all connections as an operator does (320). @returns the number of connections */
  dropConnections(): Promise<number>;
}

/** A kind of broker: `for (const kind of BROKERS) describe(kind.name, …)`. */
export interface BrokerKind {
  readonly name: string;
  readonly hasStreams: boolean;
  /** Whether it supports reading messages without consuming them. */
  readonly peeks: boolean;
  /** `it` with a sufficient timeout. */
  readonly test: (name: string, run: () => void | Promise<void>) => void;
  /** Starts the broker on the first call. */
  broker(): Promise<TestBroker>;
  /** Stops the broker; for `after`. */
  stop(): Promise<void>;
}

let own: Promise<{ broker: Broker; known: TestBroker }> | undefined;

/** Our broker in this process. */
async function start(): Promise<{ broker: Broker; known: TestBroker }> {
  const broker = await Broker.open();
  const { port } = new URL(await broker.listen("amqp://127.0.0.1:0"));
  const known: TestBroker = {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    port: Number(port),
    http: await broker.listenHttp("127.0.0.1:0"),
    async addVhost(name) {
      broker.core.addVirtualHost(name);
      broker.users.permit("guest", name, { configure: ".*", write: ".*", read: ".*" });
      return await Promise.resolve();
    },
    addUser: async (name, password) => await Promise.resolve(broker.users.put(name, password)),
    async dropConnections() {
      const connections = [...broker.connections];
      broker.core.cycle.begin();
      for (const connection of connections) connection.fail(amqpError(320, "closed by a test"));
      broker.core.cycle.end();
      return await Promise.resolve(connections.length);
    },
  };
  return { broker, known };
}

export const BROKERS: readonly BrokerKind[] = [
  { name: "RabbitMQ", hasStreams: true, peeks: false, test, broker: rabbitMq, stop: stopRabbitMq },
  {
    name: "mqcat",
    hasStreams: false,
    peeks: true,
    test: (name, run) => void it(name, { timeout: 60_000 }, run),
    broker: async () => (await (own ??= start())).known,
    async stop() {
      await (await own)?.broker.close();
      own = undefined;
    },
  },
];
