import { fieldsOf, type MessageFields, ReceivedMessage } from "../../amqp/client/api/received_message.ts";
import { MessageStream, type Settler } from "../../link/message_stream.ts";
import type { Delivery, Inlet, InletEvents } from "../contract.ts";
import type { Incoming, PatternMessage, PatternWaitOptions, PulledMessage } from "./types.ts";

/** The maximum number of messages that wait in a stream. */
const WAITING = 1000;

/** A message of any system. */
export class Message extends ReceivedMessage implements PulledMessage {
  readonly topic: string;

  constructor(fields: MessageFields, settler: Settler, generation: number) {
    super(fields, settler, generation);
    this.topic = fields.routingKey;
  }
}

/** Messages that are acknowledged by the receiver. */
export class Pulled extends MessageStream<PulledMessage> implements Incoming<PulledMessage> {
  constructor(open: (events: InletEvents) => Inlet, signal: AbortSignal | undefined) {
    super({ open, copy: messageOf, limit: WAITING, signal });
  }
}

/** Messages that are acknowledged when they are handed out. */
export class Subscription extends MessageStream<PulledMessage> implements Incoming<PatternMessage> {
  constructor(open: (events: InletEvents) => Inlet, signal: AbortSignal | undefined) {
    super({ open, copy: messageOf, limit: WAITING, signal });
  }

  override async receive(options?: PatternWaitOptions): Promise<PulledMessage | undefined> {
    const message = await super.receive(options);
    message?.ack();
    return message;
  }
}

function messageOf(delivery: Delivery, settler: Settler, generation: number): Message {
  return new Message(fieldsOf(delivery), settler, generation);
}
