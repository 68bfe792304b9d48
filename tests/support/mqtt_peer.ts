/** An MQTT client for tests that sends any packet, valid or not, and does nothing by itself. */
import assert from "node:assert/strict";
import { PacketDecoder } from "../../lib/mqtt/packet_decoder.ts";
import {
  type AckType,
  CONNACK,
  CONNECT,
  DISCONNECT,
  type ProtocolVersion,
  PUBACK,
  PUBLISH,
  SUBACK,
  SUBSCRIBE,
} from "../../lib/mqtt/packet_type.ts";
import type { Connack, Connect, SubscriptionRequest } from "../../lib/mqtt/packets.ts";
import type { MqttProperties } from "../../lib/mqtt/properties.ts";
import type { ByteStream, StreamSink } from "../../lib/transport/stream.ts";
import { connect } from "../../lib/transport/transport.ts";
import { encodePackets, type Packet, type Publish, readPacket } from "./mqtt_packets.ts";

const DEADLINE_MS = 10_000;

/** The packet of one type. */
type Of<Type extends number, Any = Packet> = Any extends { readonly type: infer Types }
  ? Type extends Types ? Any : never
  : never;

export class MqttPeer implements StreamSink {
  readonly stream: ByteStream;
  readonly version: ProtocolVersion;
  /** The answer to CONNECT, if `open` was used. */
  connack!: Connack;
  /** The types of all received packets, in order. */
  readonly order: number[] = [];
  /** Received messages, and all other packets: their order among each other means nothing. */
  readonly #messages: Packet[] = [];
  readonly #others: Packet[] = [];
  readonly #decoder: PacketDecoder;
  #ended = false;
  #wake: () => void = () => {};
  #writes = Promise.resolve();
  #drained: () => void = () => {};

  private constructor(stream: ByteStream, version: ProtocolVersion) {
    this.stream = stream;
    this.version = version;
    this.#decoder = new PacketDecoder({
      onPacket: (type, flags, bytes, start, end) => {
        this.order.push(type);
        (type === PUBLISH ? this.#messages : this.#others).push(
          readPacket(type, flags, bytes, start, end, version),
        );
        this.#wake();
      },
    });
    this.#decoder.version = version;
    stream.attach(this);
    stream.closed.then(() => this.onEnd());
  }

  /** Connects without a CONNECT. */
  static async dial(url: string, version: ProtocolVersion = 5): Promise<MqttPeer> {
    const web = { protocols: ["mqtt"], carries: "bytes" } as const;
    return new MqttPeer(await connect(url.replace(/^mqtt:/, "tcp:"), { web }), version);
  }

  /** Connects and logs in. */
  static async open(
    url: string,
    clientId: string,
    options: Partial<Connect> & { readonly refused?: boolean } = {},
  ): Promise<MqttPeer> {
    const peer = await MqttPeer.dial(url, options.version ?? 5);
    peer.send({
      type: CONNECT,
      value: {
        version: peer.version,
        cleanStart: true,
        keepAlive: 0,
        properties: {},
        clientId,
        will: undefined,
        userName: undefined,
        password: undefined,
        ...options,
      },
    });
    const { value } = await peer.expect(CONNACK);
    if (options.refused !== true) assert.equal(value.code, 0);
    peer.connack = value;
    return peer;
  }

  send(...packets: Packet[]): void {
    this.sendBytes(encodePackets(this.version, packets));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#writes = this.#writes.then(() =>
      new Promise((resolve) => {
        if (this.#ended) return resolve();
        this.#drained = resolve;
        this.stream.write(bytes);
      })
    );
  }

  /** Sends a PUBLISH. */
  publish(topic: string, payload: string, options: Partial<Publish> = {}): void {
    const { qos = 0, packetId = 1 } = options;
    this.send({
      type: PUBLISH,
      value: {
        topic,
        payload: new TextEncoder().encode(payload),
        dup: false,
        retain: false,
        properties: {},
        ...options,
        qos,
        packetId: qos > 0 ? packetId : 0,
      },
    });
  }

  /** Sends a PUBLISH of QoS 1 and waits for its PUBACK. @returns the reason code */
  async publishAcknowledged(topic: string, payload: string, options: Partial<Publish> = {}): Promise<number> {
    const { packetId = 1 } = options;
    this.publish(topic, payload, { ...options, qos: 1, packetId });
    const { value } = await this.expect(PUBACK);
    assert.equal(value.packetId, packetId);
    return value.reasonCode;
  }

  /** Sends an acknowledgement. */
  ack(type: AckType, packetId: number): void {
    this.send({ type, value: { packetId, reasonCode: 0, properties: {} } });
  }

  /** Subscribes and waits for the answer. @returns the codes */
  async subscribe(
    filter: string,
    qos = 0,
    options: Partial<SubscriptionRequest> = {},
    properties: MqttProperties = {},
  ): Promise<readonly number[]> {
    const request = { noLocal: false, retainAsPublished: false, retainHandling: 0, ...options, filter, qos };
    this.send({ type: SUBSCRIBE, value: { packetId: 77, properties, requests: [request] } });
    return (await this.expect(SUBACK)).value.codes;
  }

  /** The next message, or the next other packet; undefined at the end of the stream. */
  async next(messages = false): Promise<Packet | undefined> {
    const deadline = Date.now() + DEADLINE_MS;
    const list = messages ? this.#messages : this.#others;
    while (list.length === 0 && !this.#ended) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error("The broker sent no packet in time")),
          deadline - Date.now(),
        );
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return list.shift();
  }

  /** The next message, or the next other packet, which must have this type. */
  async expect<Type extends Packet["type"]>(type: Type): Promise<Of<Type>> {
    const packet = await this.next(type === PUBLISH);
    if (packet?.type !== type) assert.fail(`expected a packet of type ${type}: ${JSON.stringify(packet)}`);
    return packet as Of<Type>;
  }

  /** The next message: `topic payload qos`, with `dup` and `retain` if they are set. */
  async message(): Promise<string> {
    const { value: { topic, payload, qos, dup, retain } } = await this.expect(PUBLISH);
    return `${topic} ${new TextDecoder().decode(payload)} ${qos}${dup ? " dup" : ""}${
      retain ? " retain" : ""
    }`;
  }

  /** Waits for a DISCONNECT with a reason code, and the end of the stream. */
  async expectDisconnect(reasonCode: number): Promise<void> {
    const { value } = await this.expect(DISCONNECT);
    assert.equal(value.reasonCode, reasonCode, JSON.stringify(value));
    await this.expectEnd();
  }

  /** Waits for the end of the stream, before which no packet may come. */
  async expectEnd(): Promise<void> {
    assert.equal(await this.next(), undefined);
  }

  /** Sends a DISCONNECT and waits for the end. */
  async disconnect(reasonCode = 0, properties: MqttProperties = {}): Promise<void> {
    this.send({ type: DISCONNECT, value: { reasonCode, properties } });
    await this.stream.closed;
  }

  /** Ends the connection without a DISCONNECT. */
  async abort(): Promise<void> {
    await this.#writes;
    this.stream.close();
    await this.stream.closed;
  }

  onData(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  onEnd(): void {
    this.#ended = true;
    this.#drained();
    this.#wake();
    this.stream.close();
  }

  onDrain(): void {
    this.#drained();
  }
}
