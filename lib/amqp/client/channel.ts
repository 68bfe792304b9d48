import { ClosedError } from "../../errors.ts";
import type { Delivery } from "../../link/message.ts";
import { AmqpError, amqpError, errorFromClose } from "../amqp_error.ts";
import { AckFields, DeliverFields } from "../basic_fields.ts";
import { BODY, HEADER, METHOD } from "../frames/frame.ts";
import type { FrameEncoder } from "../frames/frame_encoder.ts";
import type { GivenArgs, Method, MethodArgs, MethodName } from "../method_args.ts";
import { decodeMethod, readMethodId } from "../method_codec.ts";
import { BASIC_ACK, BASIC_DELIVER, BASIC_NACK } from "../methods.ts";
import { Content } from "./content.ts";

export type { Delivery } from "../../link/message.ts";

/** Callbacks of a channel. They must not throw. */
export interface ChannelEvents {
  /** A message arrived. */
  onDelivery?(delivery: Delivery): void;
  /** All events of one received chunk were reported. */
  onBatchEnd?(): void;
  /** A mandatory message was returned. `content` is valid during the call only. */
  onReturn?(
    replyCode: number,
    replyText: string,
    exchange: string,
    routingKey: string,
    content: Content,
  ): void;
  /**
   * Messages were confirmed or refused.
   *
   * @param multiple whether this applies to all messages up to the tag
   * @param taken true for `basic.ack`, false for `basic.nack`
   */
  onConfirm?(deliveryTag: number, multiple: boolean, taken: boolean): void;
  /** The server cancelled the consumer, for example because the queue was deleted. */
  onCancel?(): void;
}

/** The part of a connection that its channels use. */
export interface ChannelHost {
  /** The output buffer of the connection. */
  readonly encoder: FrameEncoder;
  /** Writes the output buffer to the stream. */
  flush(): void;
}

/** The maximum number of calls that wait for their reply. */
const MAX_CALLS = 1000;

interface Call {
  readonly replies: readonly MethodName[];
  readonly resolve: (method: Method) => void;
  readonly reject: (error: Error) => void;
}

/** The method that a content belongs to. */
type Kind = "none" | "deliver" | "get" | "return";

/** A message from `basic.get`. It owns its bytes. */
export interface Got {
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
  /** The number of messages left in the queue. */
  readonly messageCount: number;
}

/** One channel. The server answers calls in their order, so several may be in progress. */
export class Channel {
  readonly id: number;
  /** Resolves to the error that closed the channel, or to undefined after `close`. It never rejects. */
  readonly closed: Promise<Error | undefined>;

  readonly #host: ChannelHost;
  readonly #events: ChannelEvents;
  readonly #deliver = new DeliverFields();
  readonly #ack = new AckFields();
  readonly #content: Content;
  readonly #delivery: Mutable<Delivery>;
  #calls: Call[] = [];
  #kind: Kind = "none";
  #inBody = false;
  /** The method that the next content belongs to, for the kinds other than deliveries. */
  #method: Method | undefined;
  #fresh = false;
  #over = false;
  /** The error that closed the channel. */
  #error: Error | undefined;
  #close!: (error: Error | undefined) => void;

  constructor(host: ChannelHost, id: number, events: ChannelEvents, maxMessage: number) {
    this.id = id;
    this.#host = host;
    this.#events = events;
    this.#content = new Content(maxMessage);
    this.#delivery = {
      deliveryTag: 0,
      redelivered: false,
      exchange: "",
      routingKey: "",
      content: this.#content,
    };
    this.closed = new Promise((resolve) => this.#close = resolve);
  }

  /** Whether the channel is closed. */
  get over(): boolean {
    return this.#over;
  }

  /**
   * Sends a method and waits for its reply.
   *
   * @throws {AmqpError} the server refused the method, or an earlier one, and closed the channel
   * @throws {UnreachableError} the connection is lost
   * @throws {ClosedError} the channel was closed with `close`
   */
  async call<Name extends MethodName, Reply extends MethodName>(
    name: Name,
    args: GivenArgs<Name>,
    reply: Reply,
  ): Promise<MethodArgs<Reply>> {
    return (await this.#call(name, args, [reply])).args as MethodArgs<Reply>;
  }

  /**
   * Takes one message from a queue.
   *
   * @param noAck whether the server regards the message as acknowledged
   * @returns the message, or undefined when the queue is empty
   */
  async get(queue: string, noAck = false): Promise<Got | undefined> {
    const reply = await this.#call("basic.get", { queue, noAck }, ["basic.get-ok", "basic.get-empty"]);
    return reply.name === "basic.get-ok" ? (reply as unknown as { got: Got }).got : undefined;
  }

  /** Acknowledges a message, or all up to it. Call `flush` of the connection after the last one. */
  ack(deliveryTag: number, multiple: boolean): void {
    if (!this.#over) this.#host.encoder.ack(this.id, deliveryTag, multiple);
  }

  /** Rejects a message, or all up to it. Without `requeue` the server dead-letters or discards it. */
  nack(deliveryTag: number, multiple: boolean, requeue: boolean): void {
    if (!this.#over) this.#host.encoder.nack(this.id, deliveryTag, multiple, requeue);
  }

  /** Closes the channel. Unacknowledged messages return to their queues. */
  async close(): Promise<void> {
    if (this.#over) return;
    try {
      await this.call("channel.close", { replyCode: 200, replyText: "Goodbye" }, "channel.close-ok");
    } catch (error) {
      if (!this.#over) throw error;
    }
    this.end(undefined);
  }

  /** Marks the channel as closed: called by the connection. */
  end(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    for (const call of this.#calls.splice(0)) {
      call.reject(error ?? new ClosedError("The AMQP channel was closed"));
    }
    this.#close(error);
  }

  /** Processes a frame of this channel. */
  onFrame(type: number, bytes: Uint8Array, start: number, end: number): void {
    const wanted = this.#inBody ? BODY : this.#kind === "none" ? METHOD : HEADER;
    if (type !== wanted) throw amqpError(505, `expected a frame of type ${wanted}, got type ${type}`);
    if (type === METHOD) return this.#onMethod(bytes, start, end);
    const complete = type === HEADER
      ? this.#content.onHeader(bytes, start, end)
      : this.#content.onBody(bytes, start, end);
    this.#inBody = !complete;
    if (complete) this.#onContent();
  }

  /** All frames of one received chunk were processed. */
  afterData(): void {
    if (!this.#fresh) return;
    this.#fresh = false;
    this.#events.onBatchEnd?.();
  }

  #call<Name extends MethodName>(
    name: Name,
    args: GivenArgs<Name>,
    replies: readonly MethodName[],
  ): Promise<Method> {
    // The error tells whether another connection may help.
    if (this.#over) return Promise.reject(this.#error ?? new ClosedError("The AMQP channel is closed"));
    if (this.#calls.length >= MAX_CALLS) {
      return Promise.reject(
        new RangeError(
          `Cannot call ${name} as ${MAX_CALLS} calls wait for a reply: await some of them first`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      this.#host.encoder.method(this.id, name, args);
      this.#host.flush();
      this.#calls.push({ replies, resolve, reject });
    });
  }

  #onMethod(bytes: Uint8Array, start: number, end: number): void {
    const id = readMethodId(bytes, start, end);
    if (id === BASIC_DELIVER) {
      this.#deliver.read(bytes, start, end);
      this.#kind = "deliver";
    } else if (id === BASIC_ACK || id === BASIC_NACK) {
      this.#ack.read(bytes, start, end);
      this.#fresh = true;
      this.#events.onConfirm?.(this.#ack.deliveryTag, this.#ack.multiple, id === BASIC_ACK);
    } else this.#onControl(decodeMethod(bytes, start, end));
  }

  #onControl(method: Method): void {
    switch (method.name) {
      case "basic.get-ok":
      case "basic.return":
        this.#method = method;
        this.#kind = method.name === "basic.return" ? "return" : "get";
        return;
      case "basic.cancel":
        return this.#events.onCancel?.();
      case "channel.flow":
        this.#host.encoder.method(this.id, "channel.flow-ok", method.args);
        return this.#host.flush();
      case "channel.close":
        this.#host.encoder.method(this.id, "channel.close-ok", {});
        this.#host.flush();
        return this.end(errorFromClose("channel", method.args));
      default:
        return this.#reply(method);
    }
  }

  #reply(method: Method): void {
    const call = this.#calls.shift();
    if (call === undefined || !call.replies.includes(method.name)) {
      const error = new AmqpError(503, `COMMAND_INVALID - unexpected reply ${method.name}`);
      call?.reject(error);
      throw error;
    }
    call.resolve(method);
  }

  #onContent(): void {
    const kind = this.#kind;
    this.#kind = "none";
    const method = this.#method;
    this.#method = undefined;
    this.#fresh = true;
    if (kind === "deliver") {
      const delivery = this.#delivery;
      delivery.deliveryTag = this.#deliver.deliveryTag;
      delivery.redelivered = this.#deliver.redelivered;
      delivery.exchange = this.#deliver.exchange;
      delivery.routingKey = this.#deliver.routingKey;
      this.#events.onDelivery?.(delivery);
    } else if (method?.name === "basic.return") {
      const { replyCode, replyText, exchange, routingKey } = method.args;
      this.#events.onReturn?.(replyCode, replyText, exchange, routingKey, this.#content);
    } else if (method?.name === "basic.get-ok") {
      const { properties, propertiesEnd, body, bodyStart, bodyEnd } = this.#content;
      const got: Got = {
        ...method.args,
        properties: properties.slice(0, propertiesEnd),
        body: body.slice(bodyStart, bodyEnd),
      };
      this.#reply(Object.assign(method, { got }));
    }
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
