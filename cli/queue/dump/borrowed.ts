/** The dump of RabbitMQ, which shows messages only to consumers: they are consumed, and requeued at the end. */
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { managementUrl, readDefinitions } from "../../../lib/amqp/client/management.ts";
import { Signal } from "../../../lib/transport/waiting.ts";
import { TimeoutError, UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import { requireQueue } from "../existence.ts";
import { isStream, keepsMessages } from "../streams.ts";
import { type Definitions, definitionsFor, sorted } from "./definitions.ts";
import type { Dump } from "./dump.ts";
import { isPattern } from "../name_pattern.ts";
import { select } from "./selection.ts";

/** The time without a message after which the broker is asked whether there are more, in milliseconds. */
const LOOK_MS = 200;
/** The time without a message after which the dump ends, although the queue is not empty, in milliseconds. */
const SILENCE_MS = 5000;

/** Writes the messages that are ready at the start, queue by queue. */
export async function dumpBorrowed(dump: Dump, connection: AmqpConnection): Promise<void> {
  if (!dump.options.force) {
    throw new UsageError(
      "this broker shows messages only to consumers: a dump consumes all messages of a queue and returns them, marked as " +
        "redelivered (a quorum queue counts the delivery, and other consumers wait for them); --force does it",
    );
  }
  const { operands } = dump.options;
  const all = await definitionsOf(dump);
  const log = all?.queues.find((queue) => isLog(queue) && operands.includes(queue.name));
  if (log !== undefined) throw keepsMessages(log.name);
  const names = all === undefined
    ? operands
    : select(operands, all.queues.filter((queue) => !isLog(queue)).map(({ name }) => name));
  const definitions = all && sorted(operands.length === 0 ? all : definitionsFor(all, new Set(names)));
  const plan = dump.start(connection, {
    queues: names,
    ...(definitions === undefined ? {} : { definitions }),
  });
  for (; dump.queue < plan.queues.length && !dump.isOver; dump.queue++) {
    const queue = plan.queues[dump.queue]!;
    if (all === undefined && await isStream(dump.options.target, queue)) throw keepsMessages(queue);
    await borrow(dump, connection, queue);
  }
}

/** A stream keeps its messages, whoever reads them. */
function isLog(queue: Definitions["queues"][number]): boolean {
  return queue.arguments["x-queue-type"] === "stream";
}

/** The definitions of the virtual host; undefined if the HTTP API does not answer, and all queues are named. */
async function definitionsOf(dump: Dump): Promise<Definitions | undefined> {
  const { operands, http, target: { brokers } } = dump.options;
  try {
    const bases = http ?? brokers.map(managementUrl);
    return await readDefinitions(bases, brokers[0]!) as unknown as Definitions;
  } catch (error) {
    if (operands.length === 0 || operands.some(isPattern)) throw error;
    dump.session.reporter.warn(`the dump has no definitions of queues: ${phrase(error)}`);
    return undefined;
  }
}

async function borrow(dump: Dump, connection: AmqpConnection, queue: string): Promise<void> {
  const { messageCount } = await requireQueue(connection, queue);
  const changed = new Signal();
  let received = 0;
  let lastAt = performance.now();
  const channel = await connection.open({
    onDelivery(delivery) {
      if (received === messageCount) return;
      received++;
      dump.record(delivery, queue, received);
    },
    onBatchEnd() {
      lastAt = performance.now();
      dump.flush();
      changed.fire();
    },
    onCancel: () => changed.fire(),
  });
  channel.closed.then(() => changed.fire());
  await channel.call("basic.consume", { queue }, "basic.consume-ok");
  while (received < messageCount && !dump.isOver && !channel.over) {
    await changed.wait(LOOK_MS);
    if (dump.isFull || performance.now() - lastAt < LOOK_MS) continue;
    const { messageCount: left } = await channel.call(
      "queue.declare",
      { queue, passive: true },
      "queue.declare-ok",
    );
    // Other consumers took some.
    if (left === 0 && performance.now() - lastAt >= LOOK_MS) break;
    if (performance.now() - lastAt >= SILENCE_MS) {
      throw new TimeoutError(
        `the broker delivered only ${received} of ${messageCount} messages of queue '${queue}'`,
      );
    }
  }
  if (channel.over) throw await channel.closed ?? new Error(`queue '${queue}' was deleted`);
  // The messages return to their places.
  await channel.close();
}
