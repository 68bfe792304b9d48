/**
 * A client for tests that can send anything, including malformed frames, and records everything that the server sends.
 * It uses the codecs of lib/amqp on a stream of lib/transport, without the checks of lib/amqp/client.
 */
import { FrameEncoder } from "../../../lib/amqp/frames/frame_encoder.ts";
import { BODY, HEADER, METHOD, PROTOCOL_HEADER } from "../../../lib/amqp/frames/frame.ts";
import { FrameDecoder, type FrameSink } from "../../../lib/amqp/frames/frame_decoder.ts";
import type { GivenArgs, MethodArgs, MethodName } from "../../../lib/amqp/method_args.ts";
import { decodeMethod } from "../../../lib/amqp/method_codec.ts";
import { METHODS, type MethodSpec } from "../../../lib/amqp/methods.ts";
import { type BasicProperties, decodeProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { messageOf } from "../../../lib/errors.ts";
import { parseEndpoint } from "../../../lib/transport/endpoint.ts";
import type { ByteStream, StreamSink } from "../../../lib/transport/stream.ts";
import { connect } from "../../../lib/transport/transport.ts";
import { DEADLINE } from "../../support/helpers.ts";
import { PeerChannel } from "./peer_channel.ts";

export { PeerChannel } from "./peer_channel.ts";

const utf8 = new TextEncoder();

/** An event from the server. */
export interface Received {
  readonly channel: number;
  /** A method's name; `header` for a protocol header, `end` for the end of the stream, `junk` for invalid bytes. */
  readonly name: MethodName | "header" | "end" | "junk";
  readonly args: Readonly<Record<string, unknown>>;
  /** The message of a method with content. */
  properties?: BasicProperties;
  body?: Uint8Array;
  /** Whether the script has consumed the event. */
  taken: boolean;
  /** Excluded from the transcript. */
  hidden: boolean;
}

/** A received message, with the fields of its method. */
export interface Delivered extends Received {
  readonly deliveryTag: number;
  readonly text: string;
}

/** Options of a login. */
export interface LoginOptions {
  readonly user?: string;
  readonly password?: string;
  readonly vhost?: string;
  readonly mechanism?: string;
  readonly response?: Uint8Array;
  readonly locale?: string;
  readonly clientProperties?: FieldTable;
  readonly channelMax?: number;
  readonly frameMax?: number;
  readonly heartbeat?: number;
}

/** The capabilities of common clients. */
export const CAPABILITIES: FieldTable = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  "basic.nack": true,
  consumer_cancel_notify: true,
  "connection.blocked": true,
  authentication_failure_close: true,
};

/** One connection. */
export class Peer implements StreamSink, FrameSink {
  /** All received events, in order. */
  readonly received: Received[] = [];
  /** Channel 0. */
  readonly zero: PeerChannel;
  readonly channels: Map<number, PeerChannel> = new Map();
  /** The queues and exchanges declared on this connection, as far as known. */
  readonly declared: { readonly kind: "queue" | "exchange"; readonly name: string }[] = [];
  /** The number of received heartbeats. */
  heartbeats = 0;
  /** Whether the connection has ended. */
  over = false;
  /** The maximum frame size of `publish`, in bytes. */
  frameMax = 131072;

  readonly #stream: ByteStream;
  readonly #encoder = new FrameEncoder();
  readonly #decoder = new FrameDecoder("client", this);
  readonly #waiting = new Set<() => void>();
  /** Incomplete messages, by channel. */
  readonly #partial = new Map<
    number,
    { method: Received; size: number; parts: Uint8Array[]; length: number }
  >();
  #writing = false;
  #closing = false;
  #nextChannel = 1;

  private constructor(stream: ByteStream) {
    this.#stream = stream;
    // Tests of limits send more than the limits allow.
    this.#encoder.frameMax = this.#decoder.frameMax = 0xffffffff;
    this.zero = this.use(0);
    stream.attach(this);
    stream.closed.then(() => this.onEnd());
  }

  /** Whether one end has sent connection.close. */
  get parted(): boolean {
    return this.#closing || this.over;
  }

  /** Connects without a handshake. */
  static async dial(url: string): Promise<Peer> {
    const endpoint = parseEndpoint(`tcp://${new URL(url).host}`);
    return new Peer(await connect(endpoint, { signal: AbortSignal.timeout(DEADLINE) }));
  }

  /** Connects and logs in. The transcript does not include the handshake. */
  static async open(url: string, options: LoginOptions = {}): Promise<Peer> {
    const peer = await Peer.dial(url);
    await peer.login(options);
    await peer.openHost(options.vhost);
    for (const one of peer.received) one.hidden = true;
    return peer;
  }

  /** Performs the handshake up to tune-ok. */
  async login(options: LoginOptions = {}): Promise<MethodArgs<"connection.tune">> {
    const { user = "guest", password = "guest" } = options;
    await this.start();
    this.zero.send("connection.start-ok", {
      clientProperties: options.clientProperties ?? { product: "behaviour", capabilities: CAPABILITIES },
      mechanism: options.mechanism ?? "PLAIN",
      response: options.response ?? utf8.encode(`\0${user}\0${password}`),
      locale: options.locale ?? "en_US",
    });
    const tune = await this.zero.take("connection.tune");
    const args = tune.args as MethodArgs<"connection.tune">;
    this.zero.send("connection.tune-ok", {
      channelMax: options.channelMax ?? args.channelMax,
      frameMax: options.frameMax ?? args.frameMax,
      heartbeat: options.heartbeat ?? 0,
    });
    this.frameMax = options.frameMax || this.frameMax;
    return args;
  }

  /** Sends the protocol header. @returns the arguments of connection.start */
  async start(): Promise<MethodArgs<"connection.start">> {
    this.bytes(PROTOCOL_HEADER);
    return (await this.zero.take("connection.start")).args as MethodArgs<"connection.start">;
  }

  async openHost(vhost = "/"): Promise<void> {
    await this.zero.call("connection.open", { virtualHost: vhost });
  }

  /** Returns a channel by its number, which need not be open. */
  use(number: number): PeerChannel {
    const known = this.channels.get(number);
    if (known !== undefined) return known;
    const channel = new PeerChannel(this, number);
    this.channels.set(number, channel);
    return channel;
  }

  /** Opens the next channel. */
  async channel(): Promise<PeerChannel> {
    const channel = this.use(this.#nextChannel++);
    await channel.call("channel.open", {}, true);
    return channel;
  }

  /** Sends a method frame. */
  method<Name extends MethodName>(channel: number, name: Name, args: GivenArgs<Name>): void {
    if (name === "exchange.declare" || name === "queue.declare") this.#onDeclare(name, args);
    this.#encoder.method(channel, name, args);
    this.#flush();
  }

  /** Sends a content header, which can be incomplete. */
  header(channel: number, bodySize: number, properties: BasicProperties | Uint8Array = {}): void {
    this.#encoder.contentHeader(channel, bodySize, properties);
    this.#flush();
  }

  /** Sends a body frame. */
  body(channel: number, body: Uint8Array | string): void {
    this.frame(BODY, channel, typeof body === "string" ? utf8.encode(body) : body);
  }

  publish(
    channel: number,
    exchange: string,
    routingKey: string,
    properties: BasicProperties,
    body: Uint8Array,
    mandatory: boolean,
  ): void {
    this.#encoder.frameMax = this.frameMax;
    this.#encoder.publish(channel, exchange, routingKey, mandatory, properties, body);
    this.#encoder.frameMax = 0xffffffff;
    this.#flush();
  }

  heartbeat(): void {
    this.#encoder.heartbeat();
    this.#flush();
  }

  /** Sends a frame of any type with any payload. */
  frame(type: number, channel: number, payload: Uint8Array, end = 0xce): void {
    const bytes = new Uint8Array(payload.length + 8);
    const view = new DataView(bytes.buffer);
    bytes[0] = type;
    view.setUint16(1, channel);
    view.setUint32(3, payload.length);
    bytes.set(payload, 7);
    bytes[bytes.length - 1] = end;
    this.bytes(bytes);
  }

  /** Sends any bytes. */
  bytes(bytes: Uint8Array): void {
    this.#encoder.out.append(bytes);
    this.#flush();
  }

  /** Stops reading. */
  pause(): void {
    this.#stream.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#stream.resume();
  }

  /** Closes the connection and waits for the reply. */
  async close(): Promise<void> {
    if (this.#closing) this.cut();
    if (this.over) return;
    this.#closing = true;
    await this.zero.call("connection.close", { replyCode: 200 }, true);
    this.cut();
  }

  /** Cuts the connection without a close. */
  cut(): void {
    this.over = this.#closing = true;
    this.#stream.close();
  }

  /** Waits until the server has ended the connection. */
  async ended(ms = DEADLINE): Promise<void> {
    await this.until(() => this.over, "the server to close the connection", ms);
  }

  /** Waits for a condition that depends on events from the server. */
  async until(condition: () => boolean, what: string, ms = DEADLINE): Promise<void> {
    const end = performance.now() + ms;
    while (!condition()) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`Waited ${ms} ms for ${what}; ${this.#lately()}`);
      let timer: ReturnType<typeof setTimeout> | undefined;
      let wake!: () => void;
      await new Promise<void>((resolve) => {
        this.#waiting.add(wake = resolve);
        timer = setTimeout(resolve, left);
      });
      this.#waiting.delete(wake);
      clearTimeout(timer);
    }
  }

  onData(chunk: Uint8Array): void {
    if (this.over) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      const header = /refused AMQP 0-9-1 and offers (.*?):/.exec(messageOf(error));
      if (header !== null) this.#record(0, "header", { offers: header[1] });
      else this.#record(0, "junk", { error: messageOf(error) });
      this.#stream.close();
      this.over = true;
    }
    this.#wake();
  }

  onEnd(): void {
    if (this.over) return;
    this.over = true;
    if (!this.#closing) this.#record(0, "end", {});
    this.#stream.close();
    this.#wake();
  }

  onDrain(): void {
    this.#writing = false;
    this.#flush();
  }

  onProtocolHeader(): void {
    // The decoder of the client would throw.
  }

  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    if (type === METHOD) return this.#onMethod(channel, bytes, start, end);
    if (type !== HEADER && type !== BODY) {
      this.heartbeats++;
      return;
    }
    const partial = this.#partial.get(channel);
    if (partial === undefined) throw new Error(`A frame of type ${type} arrived without a method`);
    if (type === HEADER) {
      partial.size = Number(new DataView(bytes.buffer, bytes.byteOffset + start).getBigUint64(4));
      partial.method.properties = decodeProperties(bytes, start + 12, end);
    } else {
      partial.parts.push(bytes.slice(start, end));
      partial.length += end - start;
    }
    if (partial.length < partial.size) return;
    partial.method.body = joined(partial.parts, partial.length);
    this.#partial.delete(channel);
    this.received.push(partial.method);
  }

  #onMethod(channel: number, bytes: Uint8Array, start: number, end: number): void {
    const { name, args } = decodeMethod(bytes, start, end);
    const spec: MethodSpec = METHODS[name];
    if (spec.content === true) {
      const method: Received = { channel, name, args, taken: false, hidden: false };
      this.#partial.set(channel, { method, size: 0, parts: [], length: 0 });
      return;
    }
    const known = this.use(channel);
    if ((name === "basic.ack" || name === "basic.nack") && channel > 0) return known.onSettled(name, args);
    this.#record(channel, name, args);
    if (name === "queue.declare-ok") this.#onDeclared("queue", args.queue);
    else if (name === "channel.open-ok") known.open = true;
    else if (name === "channel.close-ok") known.onClosed();
    else if (name === "connection.close") {
      this.method(0, "connection.close-ok", {});
      this.#part();
    } else if (name === "connection.close-ok") {
      this.#part();
    } else if (name === "channel.close") {
      this.method(channel, "channel.close-ok", {});
      known.onClosed();
    }
  }

  #part(): void {
    this.#closing = true;
    for (const channel of this.channels.values()) channel.open = false;
  }

  #onDeclare(name: "exchange.declare" | "queue.declare", args: GivenArgs<MethodName>): void {
    const kind = name === "exchange.declare" ? "exchange" : "queue";
    const own = (args as Readonly<Record<string, unknown>>)[kind];
    if (typeof own === "string") this.#onDeclared(kind, own);
  }

  #onDeclared(kind: "queue" | "exchange", name: string): void {
    if (!this.declared.some((one) => one.kind === kind && one.name === name)) {
      this.declared.push({ kind, name });
    }
  }

  #record(channel: number, name: Received["name"], args: Received["args"]): void {
    this.received.push({ channel, name, args, taken: false, hidden: false });
  }

  #flush(): void {
    if (this.#writing || this.#encoder.out.length === 0 || this.over) return;
    this.#writing = true;
    this.#stream.write(this.#encoder.out.take());
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #lately(): string {
    const last = this.received.slice(-3).map(({ channel, name, args }) =>
      `${channel} ${name} ${
        JSON.stringify(args, (_, value) => typeof value === "bigint" ? `${value}` : value)
      }`
    );
    return `last came ${last.join(", ") || "nothing"}`;
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
