/** The dump of mqcat's own broker, which shows its messages without a change to them. */
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { dumpQueue, readSnapshot } from "../../../lib/amqp/client/dump.ts";
import { type Definitions, definitionsFor, sorted } from "./definitions.ts";
import type { Dump } from "./dump.ts";
import { select } from "./selection.ts";

/** Writes the messages that the queues had at the start of the dump, and still have when they are read. */
export async function dumpOwn(dump: Dump, connection: AmqpConnection): Promise<void> {
  const { operands, where, target } = dump.options;
  const snapshot = await readSnapshot(connection);
  const names = select(operands, snapshot.queues.map(({ name }) => name));
  const byName = new Map(snapshot.queues.map((queue) => [queue.name, queue]));
  const all = snapshot.definitions as unknown as Definitions;
  const plan = dump.start(
    connection,
    {
      definitions: sorted(operands.length === 0 ? all : definitionsFor(all, new Set(names))),
      queues: names.map((name) => byName.get(name)!),
    },
    JSON.stringify({ instance: snapshot.instance, vhost: target.brokers[0]!.vhost, operands, where }),
  );
  for (; dump.queue < plan.queues.length && !dump.isOver; dump.queue++, dump.position = 0) {
    const { name, id, to } = plan.queues[dump.queue]!;
    await dumpQueue(connection, name, { id, from: dump.position, to }, {
      // The delivery tag is the position plus 1.
      onDelivery: (delivery) => dump.record(delivery, name, delivery.deliveryTag),
      onBatchEnd: () => dump.flush(),
    }, where).catch((error) => {
      // The queue was deleted after the start.
      if (!(error instanceof AmqpError) || error.replyCode !== 404) throw error;
    });
  }
}
