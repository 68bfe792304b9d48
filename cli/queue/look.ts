/** Shows messages of our own broker, which stay in their queue as they are. */
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { peekQueue } from "../../lib/amqp/client/peek.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { queueWriter } from "../brokers/records.ts";
import { finishOutput, Output } from "../io/output.ts";
import type { RecordStyle } from "../records/writer.ts";
import { requireQueue } from "./existence.ts";

/** Which messages to show, and how. */
export interface LookOptions {
  readonly queue: string;
  readonly style: RecordStyle;
  readonly count: number;
  /** A filter. Default: all messages */
  readonly where: string | undefined;
}

/** Lets our own broker show the messages, which does not change them. @param broker the host, for records */
export async function look(
  session: Session,
  connection: AmqpConnection,
  broker: string,
  { queue, style, count, where }: LookOptions,
): Promise<void> {
  await requireQueue(connection, queue);
  const { counts } = session;
  const out = new Output(session);
  const write = queueWriter(out, style);
  out.onChange = () => out.failure === undefined ? connection.resume() : connection.abort();
  session.onStop(() => connection.abort());
  try {
    await peekQueue(connection, queue, count, {
      onDelivery(delivery) {
        counts.received++;
        counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
        write(delivery, broker);
      },
      onBatchEnd() {
        out.flush();
        if (out.full) connection.pause();
      },
    }, where);
  } catch (error) {
    if (session.stopping || out.failure !== undefined) return await finishOutput(session, out);
    // Messages must not be shown twice.
    throw counts.received === 0 ? error : new Error(`${phrase(error)} (try again)`);
  }
  await finishOutput(session, out);
}
