import { Consumer, type Receipt } from "../../lib/amqp/client/consumer.ts";
import type { Delivery } from "../../lib/amqp/client/channel.ts";
import { ensureQueue, findQueue } from "../../lib/amqp/client/queues.ts";
import { formatBroker } from "../../lib/amqp/client/url.ts";
import type { FieldValue } from "../../lib/amqp/types/field_value.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import { type ExecMessage, execute, killCommands } from "../io/exec.ts";
import { Output } from "../io/output.ts";
import type { Target } from "./target.ts";
import { requireDeadLetters } from "./dead_letters.ts";
import { queueWriter } from "./records.ts";
import { explainOffset, fromOffset, isStream, notAStream, offsetOf, SUSPICION_MS } from "./streams.ts";
import { outputFailure } from "../zmq/receive.ts";
import type { RecordStyle } from "../records/writer.ts";
import type { Session } from "../app/session.ts";

/** What the options of `queue get` say; times are in milliseconds. */
export interface GetOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly drain: boolean | undefined;
  readonly prefetch: number | undefined;
  readonly exec: string | undefined;
  readonly jobs: number | undefined;
  readonly onError: "requeue" | "reject" | "dead-letter" | undefined;
  /** Where to begin in a stream. */
  readonly offset: FieldValue | undefined;
}

/** How often an empty queue is looked at with `--drain`, in milliseconds. */
const LOOK_MS = 50;
/** How long acknowledgements wait for the rest of a `-n`: acknowledged ones make room for messages nobody wants. */
const HOLD_MS = 100;
/** How long a message whose command failed is kept before it goes back, so that it does not go round in circles. */
const REQUEUE_MS = 1000;
const NEWLINE = 0x0a;

/** Takes messages, and acknowledges them when they are done with. */
interface Sink {
  /** Takes a message, which is valid during the call. */
  take(delivery: Delivery, receipt: Receipt): void;
  /** Everything that came at once was taken. */
  flush(): void;
  /** Whether nothing is left to be acknowledged. */
  readonly idle: boolean;
  /** Resolves when what was taken is done with; a signal starts no new commands. */
  finish(): Promise<void>;
}

/** Consumes a queue until there is a reason to end. */
export async function getAll(
  session: Session,
  { brokers, link }: Target,
  queue: string,
  style: RecordStyle,
  options: GetOptions,
): Promise<void> {
  const { counts } = session;
  const output = new Output(1);
  const wanted = options.count ?? Infinity;
  const prefetch = Math.min(
    options.prefetch ?? (options.exec === undefined ? 1000 : options.jobs ?? 1),
    wanted,
    65535,
  );
  let lastAt = performance.now();
  let over = false;
  let failure: unknown;
  /** Where to go on in a stream. */
  let offset = options.offset;
  let fromStream: boolean | undefined;
  let asked = false;
  const consumer: Consumer = new Consumer(brokers, queue, {
    ...link,
    prefetch,
    arguments: () => offset === undefined ? {} : fromOffset(offset),
    prepare: async (connection) => {
      if (offset === undefined) await ensureQueue(connection, queue);
      else if (await findQueue(connection, queue) === undefined) {
        throw new Error(`there is no stream '${queue}'`);
      }
      if (options.onError === "dead-letter") await requireDeadLetters(connection, queue, session.reporter);
    },
    onDelivery(delivery) {
      // What is not taken stays unacknowledged, and goes back when we leave.
      if (over || failure !== undefined) return;
      fromStream ??= offsetOf(delivery) !== undefined;
      failure = unfit(queue, fromStream, options);
      if (failure !== undefined) return consumer.changed.fire();
      if (fromStream) offset = offsetOf(delivery)! + 1n;
      lastAt = performance.now();
      counts.received++;
      counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
      sink.take(delivery, { generation: consumer.generation, tag: delivery.deliveryTag });
      over = counts.received >= wanted;
    },
    onBatchEnd() {
      sink.flush();
      if (output.full) consumer.pause();
      if (over || options.drain) consumer.changed.fire();
    },
  });
  output.onChange = () => output.failure === undefined ? consumer.resume() : consumer.changed.fire();
  const endpoint = formatBroker(brokers[0]!);
  const hold = () => wanted <= prefetch && !over;
  const sink = options.exec === undefined
    ? new StdoutSink(session, consumer, output, queueWriter(output, style), endpoint, hold)
    : new ExecSink(session, consumer, output, style, endpoint, { ...options, exec: options.exec });
  session.onStop(() => consumer.changed.fire());
  await consumer.start().catch((error) => {
    throw explainOffset(queue, error);
  });

  while (!over && !session.stopping && output.failure === undefined) {
    failure ??= consumer.failure;
    if (failure !== undefined) break;
    if (options.drain && sink.idle && await consumer.isDrained()) break;
    if (options.drain && !asked && counts.received === 0 && performance.now() - lastAt >= SUSPICION_MS) {
      asked = true;
      if (await isStream({ brokers, link }, queue)) failure = unfit(queue, true, options);
    }
    const left = options.timeout === undefined || !sink.idle
      ? Infinity
      : lastAt + options.timeout - performance.now();
    if (left <= 0) {
      failure = new TimeoutError(`nothing came for ${options.timeout! / 1000} s (-w)`);
      break;
    }
    const look = options.drain || options.timeout !== undefined ? LOOK_MS : Infinity;
    await consumer.changed.wait(Math.min(left, look));
  }
  over = true;
  // Room that the last acknowledgements make must not be filled again.
  await consumer.cancel();
  await sink.finish();
  await output.drained();
  await consumer.close();
  failure = outputFailure(session, output) ?? failure;
  if (failure !== undefined) throw failure;
}

/** Why the options do not fit what the queue is, which its first message tells. */
function unfit(
  queue: string,
  fromStream: boolean,
  { offset, drain, onError }: GetOptions,
): Error | undefined {
  if (!fromStream) {
    return offset === undefined ? undefined : notAStream(queue);
  }
  if (drain) return new Error(`'${queue}' is a stream, which is never empty: -n or -w ends it, not --drain`);
  if (onError === undefined) return undefined;
  return new Error(
    `'${queue}' is a stream, which keeps its messages whatever becomes of them: drop --on-error`,
  );
}

/** Messages to stdout; they are acknowledged when it took them. */
class StdoutSink implements Sink {
  readonly #session: Session;
  readonly #consumer: Consumer;
  readonly #output: Output;
  readonly #write: ReturnType<typeof queueWriter>;
  readonly #endpoint: string;
  readonly #hold: () => boolean;
  #last: Receipt | undefined;
  #acknowledged: Receipt | undefined;
  #settling: Promise<void> | undefined;

  /** @param hold whether acknowledgements are to wait a little for more of them */
  constructor(
    session: Session,
    consumer: Consumer,
    output: Output,
    write: ReturnType<typeof queueWriter>,
    endpoint: string,
    hold: () => boolean,
  ) {
    this.#session = session;
    this.#consumer = consumer;
    this.#output = output;
    this.#write = write;
    this.#endpoint = endpoint;
    this.#hold = hold;
  }

  get idle(): boolean {
    return this.#last === this.#acknowledged;
  }

  take(delivery: Delivery, receipt: Receipt): void {
    this.#write(delivery, this.#endpoint);
    this.#last = receipt;
  }

  flush(): void {
    this.#output.flush();
    this.#settling ??= this.#settle().finally(() => this.#settling = undefined);
  }

  async finish(): Promise<void> {
    await this.#settling;
    await this.#settle();
  }

  /** Acknowledges what was written, until that is all there is. */
  async #settle(): Promise<void> {
    while (!this.idle) {
      const upTo = this.#last!;
      await this.#output.drained();
      if (this.#output.failure !== undefined) return;
      if (this.#hold() && !this.#session.stopping) {
        await this.#session.sleep(HOLD_MS);
        if (upTo !== this.#last) continue;
      }
      this.#consumer.ack(upTo, true);
      this.#consumer.flush();
      this.#acknowledged = upTo;
    }
    this.#consumer.changed.fire();
  }
}

/** A command for each message, several at a time; its exit status decides what becomes of the message. */
class ExecSink implements Sink {
  readonly #session: Session;
  readonly #consumer: Consumer;
  readonly #output: Output;
  readonly #style: RecordStyle;
  readonly #endpoint: string;
  readonly #options: GetOptions & { readonly exec: string };
  #waiting: { readonly message: ExecMessage; readonly receipt: Receipt }[] = [];
  #running = new Set<Promise<void>>();
  #sequence = 0;

  constructor(
    session: Session,
    consumer: Consumer,
    output: Output,
    style: RecordStyle,
    endpoint: string,
    options: GetOptions & { readonly exec: string },
  ) {
    this.#session = session;
    this.#consumer = consumer;
    this.#output = output;
    this.#style = style;
    this.#endpoint = endpoint;
    this.#options = options;
    session.onAbort(killCommands);
  }

  get idle(): boolean {
    return this.#running.size + this.#waiting.length === 0;
  }

  take({ routingKey, content: { body, bodyStart, bodyEnd } }: Delivery, receipt: Receipt): void {
    const message = {
      body: body.slice(bodyStart, bodyEnd),
      topic: utf8(routingKey),
      parts: 1,
      sequence: ++this.#sequence,
      endpoint: this.#endpoint,
    };
    this.#waiting.push({ message, receipt });
  }

  flush(): void {
    while (this.#running.size < (this.#options.jobs ?? 1) && !this.#session.stopping) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      // What waited while the connection was lost comes again.
      if (next.receipt.generation !== this.#consumer.generation) continue;
      const job = this.#work(next.message, next.receipt).then(() => {
        this.#running.delete(job);
        this.flush();
        this.#consumer.changed.fire();
      });
      this.#running.add(job);
    }
  }

  async finish(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #work(message: ExecMessage, receipt: Receipt): Promise<void> {
    // A failure is a message's own until it is known what becomes of it.
    const outcome = { reporter: this.#session.reporter, exitCode: EXIT.done as number };
    const printed = await execute(outcome as Session, this.#options.exec, message);
    this.#output.append(printed);
    const cut = printed.length > 0 && printed.at(-1) !== NEWLINE;
    if (cut && this.#style.framing === "lines") this.#output.append(Uint8Array.of(NEWLINE));
    await this.#output.drained();
    if (this.#output.failure !== undefined) return;
    if (outcome.exitCode === EXIT.done) this.#consumer.ack(receipt, false);
    else {
      this.#session.exitCode = outcome.exitCode;
      const requeue = (this.#options.onError ?? "requeue") === "requeue";
      if (requeue) await this.#session.sleep(REQUEUE_MS);
      this.#consumer.nack(receipt, requeue);
    }
    this.#consumer.flush();
  }
}
