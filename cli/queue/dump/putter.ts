/** The two ways to put the messages of a dump back. */
import type { Channel } from "../../../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { readSnapshot } from "../../../lib/amqp/client/dump.ts";
import { encodeRestored, RESTORE } from "../../../lib/amqp/dump.ts";
import { RefusedError } from "../../../lib/errors.ts";
import { encodeProperties } from "../../../lib/amqp/properties.ts";
import { Signal } from "../../../lib/transport/waiting.ts";
import { utf8 } from "../../../lib/zmtp/bytes.ts";
import type { DumpedMessage } from "./format.ts";

/** Puts messages into queues, and notes in one step with them how many there are. */
export interface Putter {
  /** The number of messages that earlier runs have put. */
  readonly done: number;
  put(message: DumpedMessage): void;
  /** Sends what was put. It waits until the broker can take more. @throws the broker refused a message */
  flush(): Promise<void>;
  /** Waits until the broker has everything. @throws the broker refused a message */
  finish(): Promise<void>;
}

/** The number of unconfirmed messages above which our broker is waited for. */
const WINDOW = 50_000;
const NO_PROPERTIES = encodeProperties({});

/** Puts messages back at mqcat's own broker, with their exchanges and routing keys. */
export class OwnPutter implements Putter {
  readonly done: number;
  readonly #connection: AmqpConnection;
  readonly #channel: Channel;
  readonly #progress: string;
  readonly #changed: Signal;
  readonly #confirmed: { count: number };
  #sent = 0;

  private constructor(
    connection: AmqpConnection,
    channel: Channel,
    progress: string,
    done: number,
    changed: Signal,
    confirmed: { count: number },
  ) {
    this.#connection = connection;
    this.#channel = channel;
    this.#progress = progress;
    this.done = done;
    this.#changed = changed;
    this.#confirmed = confirmed;
  }

  /** @param progress the queue that counts the messages; empty for none */
  static async open(connection: AmqpConnection, progress: string): Promise<OwnPutter> {
    const { queues } = await readSnapshot(connection);
    const done = progress === "" ? 0 : queues.find(({ name }) => name === progress)?.to[0];
    if (done === undefined) {
      throw new RefusedError(`The user needs the permission 'read' for queue '${progress}'`);
    }
    const changed = new Signal();
    const confirmed = { count: 0 };
    const channel = await connection.open({
      // The broker confirms in order, and refuses a message by closing the channel.
      onConfirm: (tag) => confirmed.count = Math.max(confirmed.count, tag),
      onBatchEnd: () => changed.fire(),
    });
    channel.closed.then(() => changed.fire());
    connection.events.onWritable = () => changed.fire();
    await channel.call("confirm.select", {}, "confirm.select-ok");
    return new OwnPutter(connection, channel, progress, done, changed, confirmed);
  }

  put(message: DumpedMessage): void {
    const body = encodeRestored(message, this.#progress);
    this.#connection.encoder.publish(this.#channel.id, RESTORE, message.queue, false, NO_PROPERTIES, body);
    this.#sent++;
  }

  flush(): Promise<void> {
    return this.#settle(WINDOW);
  }

  finish(): Promise<void> {
    return this.#settle(0);
  }

  async #settle(unconfirmed: number): Promise<void> {
    this.#connection.flush();
    while (this.#connection.full || this.#sent - this.#confirmed.count > unconfirmed) {
      await check(this.#channel);
      await this.#changed.wait();
    }
    await check(this.#channel);
  }
}

/** The number of messages of one transaction. */
const BATCH = 500;

/** Puts messages into queues of RabbitMQ, which makes them messages of the default exchange. */
export class QueuePutter implements Putter {
  readonly done: number;
  readonly #connection: AmqpConnection;
  readonly #channel: Channel;
  readonly #progress: string;
  readonly #returned: { queue?: string };
  #count = 0;
  #open = 0;

  private constructor(
    connection: AmqpConnection,
    channel: Channel,
    progress: string,
    done: number,
    returned: { queue?: string },
  ) {
    this.#connection = connection;
    this.#channel = channel;
    this.#progress = progress;
    this.done = this.#count = done;
    this.#returned = returned;
  }

  /** @param progress the queue that counts the messages; empty for none */
  static async open(connection: AmqpConnection, progress: string): Promise<QueuePutter> {
    const returned: { queue?: string } = {};
    let done = 0;
    if (progress !== "") {
      const reader = await connection.open();
      const last = await reader.get(progress);
      if (last !== undefined) done = Number(new TextDecoder().decode(last.body));
      await reader.close();
    }
    const channel = await connection.open({
      onReturn: (_code, _text, _exchange, key) => returned.queue = key,
    });
    await channel.call("tx.select", {}, "tx.select-ok");
    return new QueuePutter(connection, channel, progress, done, returned);
  }

  put({ queue, properties, body }: DumpedMessage): void {
    this.#connection.encoder.publish(this.#channel.id, "", queue, true, properties, body);
    this.#count++;
    this.#open++;
  }

  async flush(): Promise<void> {
    if (this.#open >= BATCH) await this.finish();
  }

  async finish(): Promise<void> {
    const { encoder } = this.#connection;
    if (this.#open > 0 && this.#progress !== "") {
      encoder.publish(
        this.#channel.id,
        "",
        this.#progress,
        false,
        { deliveryMode: 2 },
        utf8(`${this.#count}`),
      );
    }
    this.#open = 0;
    await this.#channel.call("tx.commit", {}, "tx.commit-ok");
    if (this.#returned.queue !== undefined) throw new Error(`there is no queue '${this.#returned.queue}'`);
  }
}

async function check(channel: Channel): Promise<void> {
  if (channel.over) throw await channel.closed ?? new Error("the channel was closed");
}
