import { connectBroker, patiently } from "../../lib/amqp/client/link.ts";
import { findQueue } from "../../lib/amqp/client/queues.ts";
import type { Bridge } from "../../lib/patterns/bridge/bridge.ts";
import type { BrokerTarget } from "./target.ts";

/** The original queues of dead letters, and whether they exist. */
export class KnownQueues {
  readonly #target: BrokerTarget;
  readonly #stop = new AbortController();
  /** Undefined while the broker is asked. */
  readonly #exists = new Map<string, boolean | undefined>();

  constructor(target: BrokerTarget) {
    this.#target = target;
  }

  /** Whether a queue exists: true, the reason why its messages stay, or undefined while it is not known. */
  admit(queue: string, bridge: Bridge): true | string | undefined {
    if (!this.#exists.has(queue)) this.#ask(queue, bridge);
    const exists = this.#exists.get(queue);
    return exists === false ? `from '${queue}', which does not exist` : exists;
  }

  /** Ends the questions. */
  stop(): void {
    this.#stop.abort();
  }

  /** Asks on a separate connection, again and again while the broker or the queue is away: the messages wait for it. */
  async #ask(queue: string, bridge: Bridge): Promise<void> {
    this.#exists.set(queue, undefined);
    const { brokers, link: { signal: given, ...link } } = this.#target;
    const stop = this.#stop.signal;
    const signal = given === undefined ? stop : AbortSignal.any([given, stop]);
    try {
      await patiently({ ...link, signal, patience: Infinity }, async () => {
        const connection = await connectBroker(brokers, { ...link, signal });
        try {
          this.#exists.set(queue, await findQueue(connection, queue) !== undefined);
        } finally {
          await connection.close();
        }
      });
    } catch (error) {
      if (signal.aborted) return;
      bridge.fail(error as Error);
    }
    bridge.proceed();
  }
}
