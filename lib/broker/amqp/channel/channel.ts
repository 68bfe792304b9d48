import { amqpError } from "../../../amqp/amqp_error.ts";
import { METHOD } from "../../../amqp/frames/frame.ts";
import type { GivenArgs, MethodName } from "../../../amqp/method_args.ts";
import { decodeMethod } from "../../../amqp/method_codec.ts";
import { BASIC_ACK, BASIC_NACK, BASIC_PUBLISH, BASIC_REJECT, METHODS } from "../../../amqp/methods.ts";
import { MessageStats } from "../../core/message_stats.ts";
import type { QueueConsumer } from "../../core/queue/consumer.ts";
import type { ClientChannel } from "../../protocol.ts";
import { replyFor } from "../replies.ts";
import { Consuming } from "./consuming.ts";
import type { ChannelConnection, ChannelHost } from "./contract.ts";
import { handle, type MethodChannel } from "./methods.ts";
import { Publishing } from "./publishing.ts";
import type { Transaction } from "./transaction.ts";

const CLOSE_OK = METHODS["channel.close-ok"].id;
const CLOSE = METHODS["channel.close"].id;

/** One channel of a connection: it dispatches frames to its publishing and consuming parts, and handles their errors. */
export class ServerChannel implements MethodChannel, ClientChannel {
  readonly connection: ChannelConnection;
  readonly host: ChannelHost;
  readonly number: number;
  readonly stats: MessageStats = new MessageStats();
  readonly publishing: Publishing;
  readonly consuming: Consuming;
  transaction: Transaction | undefined;
  lastQueue: string | undefined;
  /** Whether an error closed the channel, and the client's answer is pending. */
  #closing = false;

  constructor(connection: ChannelConnection, host: ChannelHost, number: number) {
    this.connection = connection;
    this.host = host;
    this.number = number;
    this.publishing = new Publishing(this);
    this.consuming = new Consuming(this);
  }

  get consumers(): ReadonlyMap<string, QueueConsumer> {
    return this.consuming.consumers;
  }

  get unconfirmed(): number {
    return this.publishing.confirms?.pending ?? 0;
  }

  get unacked(): number {
    return this.consuming.deliveries.count;
  }

  get prefetch(): number {
    return this.consuming.prefetch;
  }

  get globalPrefetch(): number {
    return this.consuming.globalPrefetch;
  }

  get confirms(): boolean {
    return this.publishing.confirms !== undefined;
  }

  get transactional(): boolean {
    return this.transaction !== undefined;
  }

  /**
   * Handles a frame. An error of the channel closes it; an error of the connection is thrown.
   *
   * @param method id of the method in a method frame; 0 in other frames
   */
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
      this.host.onChannelError(this.connection.remote, this.number, reply);
    }
  }

  send<Name extends MethodName>(name: Name, args: GivenArgs<Name>): void {
    this.connection.encoder.method(this.number, name, args);
    this.connection.touch();
  }

  close(): void {
    this.release();
    this.send("channel.close-ok", {});
    this.connection.forgetChannel(this.number);
  }

  /** Requeues unacknowledged messages and ends consumers and the transaction. */
  release(): void {
    this.transaction = undefined;
    this.consuming.release();
    this.publishing.release();
  }

  /** The connection's output has room again. */
  onWritable(): void {
    this.consuming.wakeQueues();
  }

  queueName(given: string): string {
    if (given !== "") return given;
    if (this.lastQueue === undefined) throw amqpError(404, "no previously declared queue");
    return this.lastQueue;
  }

  #whileClosing(method: number): void {
    // Everything but the end of the channel is ignored (AMQP 0-9-1 reference, channel.close).
    if (method === CLOSE) this.send("channel.close-ok", {});
    if (method === CLOSE || method === CLOSE_OK) this.connection.forgetChannel(this.number);
  }
}
