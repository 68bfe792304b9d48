import { MessageStream } from "../../../link/message_stream.ts";
import { Consumer } from "../consumer.ts";
import type { LinkOptions } from "../link.ts";
import { nearLeader } from "../near_leader.ts";
import type { BrokerAddress } from "../url.ts";
import { copyOf } from "./received_message.ts";
import type { AmqpConsumer, AmqpMessage, ConsumeOptions } from "./types.ts";

/** The default maximum number of unacknowledged messages: enough for a busy consumer, few enough to share a queue. */
const PREFETCH = 100;

/** The messages of a queue as an async iterable. */
export class QueueStream extends MessageStream<AmqpMessage> implements AmqpConsumer {
  readonly queue: string;

  /** @param onClose called once, when the stream begins to close */
  constructor(
    brokers: readonly BrokerAddress[],
    queue: string,
    link: LinkOptions,
    options: ConsumeOptions,
    onClose: (stream: QueueStream) => void,
  ) {
    const { prefetch = PREFETCH, arguments: args = {}, signal } = options;
    if (!Number.isInteger(prefetch) || prefetch < 1 || prefetch > 65535) {
      throw new RangeError(
        `Cannot consume as 'prefetch' must be an integer from 1 to 65535: received ${prefetch}`,
      );
    }
    super({
      open: (events) =>
        new Consumer(brokers, queue, {
          ...nearLeader(brokers, queue, { ...link, nearLeader: options.nearLeader, http: options.http }),
          ...events,
          prefetch,
          arguments: () => args,
        }),
      copy: copyOf,
      signal,
      onClose: () => onClose(this),
    });
    this.queue = queue;
  }
}
