import { amqpError } from "../../../amqp/amqp_error.ts";
import { METHOD } from "../../../amqp/frames/frame.ts";
import type { GivenArgs, MethodName } from "../../../amqp/method_args.ts";
import { decodeMethod } from "../../../amqp/method_codec.ts";
import { BASIC_ACK, BASIC_NACK, BASIC_PUBLISH, METHODS } from "../../../amqp/methods.ts";
import { BASIC_REJECT } from "../../../amqp/methods.ts";
import type { ServerConnection } from "../connection.ts";
import { replyFor } from "../replies.ts";
import { Consuming } from "./consuming.ts";
import { handle } from "./methods.ts";
import { Publishing } from "./publishing.ts";
import type { Transaction } from "./transaction.ts";

const CLOSE_OK = METHODS["channel.close-ok"].id;
const CLOSE = METHODS["channel.close"].id;

/** One channel of a connection: what is published on it, what is consumed from it, and its errors. */
export class ServerChannel {
  readonly connection: ServerConnection;
  readonly number: number;
  readonly publishing: Publishing;
  readonly consuming: Consuming;
  /** The transaction, once `tx.select` was called. */
  transaction: Transaction | undefined;
  /** The queue that was declared last, which an empty name stands for (AMQP 0-9-1 reference, queue.declare). */
  lastQueue: string | undefined;
  /** Whether we have closed it, and wait for the client's answer. */
  #closing = false;

  constructor(connection: ServerConnection, number: number) {
    this.connection = connection;
    this.number = number;
    this.publishing = new Publishing(this);
    this.consuming = new Consuming(this);
  }

  /** Takes a frame; `method` is the id in a method frame, else 0. Errors of the channel end it, all others are thrown. */
  onFrame(type: number, method: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#closing) return this.#whileClosing(method);
    try {
      if (type !== METHOD) this.publishing.onContent(type, bytes, start, end);
      else if (method === BASIC_PUBLISH) this.publishing.begin(bytes, start, end);
      else if (method === BASIC_ACK || method === BASIC_NACK || method === BASIC_REJECT) {
        this.publishing.expectNoContent();
        this.consuming.settle(method, bytes, start, end);
      } else {
        this.publishing.expectNoContent();
        handle(this, decodeMethod(bytes, start, end));
      }
    } catch (error) {
      const reply = replyFor(error, type === METHOD ? method : BASIC_PUBLISH);
      if (reply.scope === "connection") throw reply;
      this.release();
      this.#closing = true;
      this.send("channel.close", reply);
      this.connection.broker.onChannelError(this, reply);
    }
  }

  /** Answers the client. */
  send<Name extends MethodName>(name: Name, args: GivenArgs<Name>): void {
    this.connection.encoder.method(this.number, name, args);
    this.connection.touch();
  }

  /** The client closed it. */
  close(): void {
    this.release();
    this.send("channel.close-ok", {});
    this.connection.forget(this);
  }

  /** Gives everything back that the client held: messages that were not acknowledged, consumers, a transaction. */
  release(): void {
    this.transaction = undefined;
    this.consuming.release();
    this.publishing.release();
  }

  /** The connection's output has room again. */
  onWritable(): void {
    this.consuming.wakeQueues();
  }

  /** The name of a queue that a method means. */
  queueName(given: string): string {
    if (given !== "") return given;
    if (this.lastQueue === undefined) throw amqpError(404, "no previously declared queue");
    return this.lastQueue;
  }

  #whileClosing(method: number): void {
    // Everything but the end of the channel is passed over (AMQP 0-9-1 reference, channel.close).
    if (method === CLOSE) this.send("channel.close-ok", {});
    if (method === CLOSE || method === CLOSE_OK) this.connection.forget(this);
  }
}
