import { isFinal, ProtocolError, UnreachableError } from "../../../errors.ts";
import type { Envelope } from "../../../link/message.ts";
import type { Port, PortEvents, Publishing } from "../../../link/port.ts";
import type { Protocol } from "../../../link/protocol.ts";
import { Publisher, type PublisherOptions } from "../../../link/publisher.ts";
import { awayError } from "../availability.ts";
import { type BrokerAddress, formatBroker } from "../url.ts";
import { COMMAND, StreamError } from "./commands.ts";
import { FRAME_MAX, StreamConnection } from "./connection.ts";
import type { FrameReader } from "./decoder.ts";
import { MESSAGE_OVERHEAD, PUBLISH_HEAD } from "./encoder.ts";

/** The number of our only publisher on each connection. */
const PUBLISHER = 1;
/** The longest name of a publisher, in characters. */
export const MAX_PUBLISHER_ID = 255;

/** Formats the address of a stream plug-in, without user and password. */
export function formatStreamBroker(address: BrokerAddress): string {
  return formatBroker(address).replace(/^amqp(s?):/, (_, tls) => `rabbitmq-stream${tls && "+tls"}:`);
}

/** The stream protocol for a link. */
const STREAM: Protocol<BrokerAddress, StreamConnection> = {
  format: formatStreamBroker,
  isPermanent: (error) => error instanceof StreamError ? !error.isTemporary : isFinal(error),
  async login(attempt, address) {
    const connection = new StreamConnection(await attempt.dial());
    const late = new UnreachableError("The server did not answer in time: is its stream plug-in enabled?");
    const timer = setTimeout(() => connection.abort(late), attempt.remaining());
    try {
      await connection.logIn(address);
      return connection;
    } catch (error) {
      connection.abort();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  },
};

/** Options of a deduplicating publisher. */
export interface StreamPublisherOptions extends PublisherOptions<StreamConnection> {
  /** The name of the publisher, for which the server remembers the last publishing id. */
  readonly publisherId: string;
  /** Called with the number of messages that the stream has from this publisher: they are not sent again. */
  readonly onKnown?: (count: number) => void;
}

/**
 * Publishes to a stream of RabbitMQ. The publishing ids are the numbers of the messages from 1, so messages that the stream already
 * has from a publisher of this name are confirmed without being sent: a run that is repeated adds only what is missing.
 */
export class StreamPublisher extends Publisher<BrokerAddress, StreamConnection> {
  constructor(brokers: readonly BrokerAddress[], stream: string, options: StreamPublisherOptions) {
    const publishing = new Deduplicating(stream, options);
    super(STREAM, publishing, brokers, options);
    publishing.settled = () => this.acknowledged;
  }
}

class Deduplicating implements Publishing<StreamConnection> {
  /** The number of messages that were confirmed on earlier connections. */
  settled: () => number = () => 0;

  readonly #stream: string;
  readonly #options: StreamPublisherOptions;
  /** The limit of the first connection. */
  #frameMax: number | undefined;

  constructor(stream: string, options: StreamPublisherOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  check(_envelope: Envelope): number {
    return (this.#frameMax ?? FRAME_MAX) - PUBLISH_HEAD - MESSAGE_OVERHEAD;
  }

  async open(connection: StreamConnection, events: PortEvents): Promise<StreamPort> {
    const { publisherId, onKnown } = this.#options;
    const stream = this.#stream;
    const name = `stream '${stream}'`;
    this.#frameMax ??= connection.frameMax;
    if (connection.frameMax < this.#frameMax) {
      // Without a message that does not fit, the others would have wrong publishing ids.
      throw new ProtocolError(
        `The limit of frames has changed from ${this.#frameMax} to ${connection.frameMax} bytes`,
      );
    }
    try {
      await connection.call(COMMAND.declarePublisher, name, (encoder) => {
        encoder.uint8(PUBLISHER).text(publisherId).text(stream);
      });
      const known = await connection.call(COMMAND.queryPublisherSequence, name, (encoder) => {
        encoder.text(publisherId).text(stream);
      }, (fields) => fields.uint64());
      onKnown?.(known);
      return new StreamPort(connection, events, stream, this.settled(), known);
    } catch (error) {
      if (error instanceof StreamError && error.isTemporary) throw awayError(stream, error.message, error);
      throw error;
    }
  }
}

/** Publishes on one connection. The server confirms in the order of the publishing ids. */
class StreamPort implements Port {
  readonly #connection: StreamConnection;
  readonly #events: PortEvents;
  readonly #stream: string;
  /** The publishing id of the message before the first tag. */
  readonly #base: number;
  /** The last publishing id that the stream has. */
  readonly #known: number;
  /** The last tag that was confirmed without being sent, and the last one that is reported. */
  #skipped = 0;
  #reported = 0;

  constructor(connection: StreamConnection, events: PortEvents, stream: string, base: number, known: number) {
    this.#connection = connection;
    this.#events = events;
    this.#stream = stream;
    this.#base = base;
    this.#known = known;
    connection.events = {
      onFrame: (key, fields) => this.#onFrame(key, fields),
      onBatchEnd: () => events.onBatchEnd(),
      onWritable: () => events.onWritable(),
    };
  }

  get full(): boolean {
    return this.#connection.full || this.#connection.over;
  }

  publish(tag: number, _envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    const id = this.#base + tag;
    const { encoder, frameMax } = this.#connection;
    if (id > this.#known) encoder.publish(PUBLISHER, id, bytes, start, end, frameMax);
    else this.#skipped = tag;
  }

  flush(): void {
    this.#connection.flush();
    // Not at once: the publisher is in the middle of its messages.
    if (this.#skipped > this.#reported) queueMicrotask(() => this.#reportSkipped());
  }

  #reportSkipped(): void {
    if (this.#connection.over || this.#skipped === this.#reported) return;
    this.#reported = this.#skipped;
    this.#events.onConfirm(this.#skipped, true, true);
    this.#events.onBatchEnd();
  }

  #onFrame(key: number, fields: FrameReader): void {
    switch (key) {
      case COMMAND.publishConfirm:
        fields.uint8();
        for (let left = fields.uint32(); left > 0; left--) {
          this.#events.onConfirm(fields.uint64() - this.#base, false, true);
        }
        return;
      case COMMAND.publishError:
        // The messages are published again on the next connection, in their order.
        throw awayError(this.#stream, "it accepts no messages");
      case COMMAND.metadataUpdate:
        throw awayError(this.#stream, "its leader has changed");
    }
  }
}
