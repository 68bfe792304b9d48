/** The brokers that the suites of our client and of the queue commands run against. */
import { rabbitMq, stopRabbitMq, test } from "./rabbitmq.ts";

/** A broker that runs, on loopback. */
export interface TestBroker {
  /** `amqp://guest:guest@127.0.0.1:port`. */
  readonly url: string;
  readonly port: number;
  /** Its HTTP API. */
  readonly http: string;
  /** Makes a virtual host that `guest` may use. */
  addVhost(name: string): Promise<void>;
  /** Makes a user without any permissions. */
  addUser(name: string, password: string): Promise<void>;
  /** Closes all connections that there are, as an operator does (320); how many. */
  dropConnections(): Promise<number>;
}

/** One that can be had: `for (const kind of BROKERS) describe(kind.name, …)`. */
export interface BrokerKind {
  readonly name: string;
  readonly hasStreams: boolean;
  /** `it`, with time enough. */
  readonly test: (name: string, run: () => void | Promise<void>) => void;
  /** Starts it, the first time. */
  broker(): Promise<TestBroker>;
  /** Ends it; for `after`. */
  stop(): Promise<void>;
}

export const BROKERS: readonly BrokerKind[] = [
  { name: "RabbitMQ", hasStreams: true, test, broker: rabbitMq, stop: stopRabbitMq },
];
