import { connectAmqp } from "../../../lib/amqp/client/api/client.ts";
import type { AmqpClient } from "../../../lib/amqp/client/api/types.ts";
import type { BrokerKind, TestBroker } from "../../support/brokers.ts";
import { type Exit, type Program, run, start, type StartOptions } from "../../support/mqcat.ts";

/** Runs `req` and `rep` against one broker. */
export interface RpcContext {
  readonly test: BrokerKind["test"];
  broker(): Promise<TestBroker>;
  /** A client for declaring and looking. */
  client(): Promise<AmqpClient>;
  /** Declares an empty queue. @returns its address */
  declare(queue: string): Promise<string>;
  /** The number of ready messages of a queue; undefined if it does not exist. */
  ready(queue: string): Promise<number | undefined>;
  /** Runs mqcat to its end. */
  mqcat(args: readonly string[], options?: StartOptions): Promise<Exit>;
  /** Starts mqcat. */
  start(args: readonly string[], options?: StartOptions): Promise<Program>;
  /** Closes the client. */
  close(): Promise<void>;
}

export function contextOf({ test, broker }: BrokerKind): RpcContext {
  let connected: Promise<AmqpClient> | undefined;
  const client = async () => await (connected ??= connectAmqp((await broker()).url));
  const withUrl = async (options: StartOptions = {}) => ({
    ...options,
    env: { AMQP_URL: (await broker()).url, ...options.env },
  });
  return {
    test,
    broker,
    client,
    async declare(queue) {
      const connection = await client();
      await connection.declareQueue(queue);
      await connection.purgeQueue(queue); // A broker that other runs have used may have it.
      return `${(await broker()).url}//${queue}`;
    },
    ready: async (queue) => (await (await client()).findQueue(queue))?.messageCount,
    mqcat: async (args, options) => await run(args, await withUrl(options)),
    start: async (args, options) => start(args, await withUrl(options)),
    close: async () => await (await connected)?.close(),
  };
}
