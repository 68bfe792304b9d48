import type { Delivery, Envelope } from "../../link/message.ts";
import type { LinkOptions } from "../../link/options.ts";
import type { PortEvents, Publishing } from "../../link/port.ts";
import { StompError } from "../stomp_error.ts";
import type { StompConnection } from "./connection.ts";
import { DeliveryReader } from "./delivery_reader.ts";
import { REFUSED_MESSAGE } from "./errors.ts";
import { requireQueue } from "./queue_check.ts";
import { SendHeads, SendPort } from "./send_port.ts";

/** After so many connections that end without a reason, the message is the reason. */
const MAX_SILENT_ENDS = 5;
const REFUSED_IN_SILENCE = "no receipt";

/** How messages are sent. */
export interface SendingOptions extends LinkOptions {
  /**
   * Whether the server may declare queues: a message to a queue is sent to `/queue/NAME` instead of `/amq/queue/NAME`.
   * Default: false
   */
  readonly declares?: boolean | undefined;
  /** A queue that must exist on each new connection. STOMP servers drop messages to a missing queue without an error. */
  readonly queue?: string | undefined;
  /** Whether the properties of an envelope change between its messages. Default: false */
  readonly changes?: boolean | undefined;
  /**
   * Called for each reply, which is valid during the call only. A message whose property `replyTo` is `/temp-queue/NAME`
   * makes the server declare a queue for its connection, and deliver from it.
   */
  readonly onReply?: ((delivery: Delivery) => void) | undefined;
  /** Called after all replies of one received chunk. */
  readonly onReplies?: (() => void) | undefined;
}

/** Sends messages with receipts on the connections of a link. */
export class Sending implements Publishing<StompConnection> {
  readonly #options: SendingOptions;
  readonly #heads: SendHeads;
  readonly #reader = new DeliveryReader();
  #replies = 0;
  /** The number of connections in a row that the server ended after messages, without a receipt or an ERROR frame. */
  #silentEnds = 0;

  constructor(options: SendingOptions) {
    this.#options = options;
    this.#heads = new SendHeads(options.declares ?? false);
  }

  /** Servers have limits for bodies, but do not report them. */
  check(envelope: Envelope): number {
    this.#heads.headOf(envelope);
    return Infinity;
  }

  async open(connection: StompConnection, events: PortEvents): Promise<SendPort> {
    const { queue, onReply, onReplies } = this.#options;
    if (queue !== undefined) await requireQueue(connection, queue, this.#options);
    this.#heads.version = connection.version;
    const port = new SendPort(connection, this.#heads, this.#options.changes ?? false);
    let confirmed = false;
    connection.closed.then(() => {
      this.#silentEnds = connection.endedByServer && port.used && !confirmed ? this.#silentEnds + 1 : 0;
      if (this.#silentEnds >= MAX_SILENT_ENDS) events.onFailure(refusedInSilence());
    });
    connection.events = {
      onReceipt(id) {
        confirmed = true;
        const tag = Number(id);
        if (Number.isSafeInteger(tag)) events.onConfirm(tag, false, true);
      },
      onError(error, receipt) {
        if (error.summary === REFUSED_MESSAGE && receipt !== undefined) {
          events.onConfirm(Number(receipt), false, false, error.details.trim());
          events.onBatchEnd();
        }
        return undefined;
      },
      onMessage: (frame) => onReply?.(this.#reader.read(frame, ++this.#replies)),
      onBatchEnd() {
        events.onBatchEnd();
        onReplies?.();
      },
      onWritable: () => events.onWritable(),
    };
    return port;
  }
}

/** RabbitMQ ends the connection when a queue refuses a message, without an ERROR frame. */
function refusedInSilence(): StompError {
  return new StompError(
    REFUSED_IN_SILENCE,
    `the server closed ${MAX_SILENT_ENDS} connections after the same message, and gave no reason (RabbitMQ does that when ` +
      "the queue is full and refuses messages)",
  );
}
