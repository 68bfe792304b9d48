/**
 * A publisher and a subscriber with persistent sessions, which continue over many runs of a broker as the specification
 * says, and count how often each message arrives.
 */
import { FrameBuffer } from "../../lib/bytes/frame_buffer.ts";
import { AckFields, PublishFields } from "../../lib/mqtt/fields.ts";
import { readTwo } from "../../lib/mqtt/integers.ts";
import { PacketDecoder } from "../../lib/mqtt/packet_decoder.ts";
import { PacketEncoder } from "../../lib/mqtt/packet_encoder.ts";
import {
  type AckType,
  CONNACK,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
} from "../../lib/mqtt/packet_type.ts";
import { decodeConnack } from "../../lib/mqtt/packets.ts";
import type { ByteStream } from "../../lib/transport/stream.ts";
import { connect } from "../../lib/transport/transport.ts";
import { deadline } from "../support/helpers.ts";
import { PATIENCE } from "../support/mqcat.ts";

const NO_PROPERTIES = new Uint8Array(0);

/** The limit of messages without an acknowledgement, and of those that the subscriber has not received. */
const WINDOW = 500;
const BACKLOG = 20_000;
const IDS = 65_535;
const TOPIC = new TextEncoder().encode("ledger/a");

/** The counts of all messages, which are numbered from 0. */
export class Ledger {
  /** How often each message arrived. */
  readonly arrivals: Uint8Array;
  /** Whether the exchange of each message was completed at the publisher. */
  readonly completed: Uint8Array;
  received = 0;
  completions = 0;
  /** What the broker did wrong. */
  readonly violations: string[] = [];
  /** Called after each change. */
  onProgress: () => void = () => {};

  constructor(count: number) {
    this.arrivals = new Uint8Array(count);
    this.completed = new Uint8Array(count);
  }

  get isComplete(): boolean {
    return this.received >= this.arrivals.length && this.completions >= this.completed.length;
  }

  arrived(number: number): void {
    if (this.arrivals[number] === 0) this.received++;
    if (this.arrivals[number]! < 255) this.arrivals[number]!++;
    this.onProgress();
  }

  complete(number: number): void {
    if (this.completed[number] === 0) this.completions++;
    this.completed[number] = 1;
    this.onProgress();
  }

  /** The numbers of the messages that did not arrive as often as they must, and were acknowledged. */
  wrong(exactlyOnce: boolean): number[] {
    const found: number[] = [];
    this.arrivals.forEach((times, number) => {
      if (this.completed[number] === 1 && (times === 0 || exactlyOnce && times !== 1)) found.push(number);
    });
    return found;
  }
}

/** A client that keeps its session over many connections. */
abstract class Client {
  protected readonly ledger: Ledger;
  protected readonly qos: 1 | 2;
  protected readonly encoder: PacketEncoder = new PacketEncoder(new FrameBuffer());
  readonly #clientId: string;
  #stream: ByteStream | undefined;
  #writing = false;
  #isNew = true;

  constructor(ledger: Ledger, qos: 1 | 2, clientId: string) {
    this.ledger = ledger;
    this.qos = qos;
    this.#clientId = clientId;
  }

  /** Connects and continues until the connection ends. @returns after the login */
  async run(url: string): Promise<{ readonly over: Promise<unknown> }> {
    const stream = this.#stream = await connect(url.replace(/^mqtt:/, "tcp:"));
    const decoder = new PacketDecoder({
      onPacket: (type, flags, bytes, start, end) => {
        if (type === CONNACK) onConnack(decodeConnack(bytes, start, end, 5));
        else this.onPacket(type, flags, bytes, start, end);
      },
    });
    const { promise: loggedIn, resolve, reject } = Promise.withResolvers<void>();
    loggedIn.catch(() => {});
    const onConnack = ({ code, sessionPresent }: { code: number; sessionPresent: boolean }) => {
      if (code !== 0) return reject(new Error(`refused with ${code}`));
      if (!sessionPresent && !this.#isNew) this.ledger.violations.push(`${this.#clientId}: no session`);
      this.onSession(this.#isNew);
      this.#isNew = false;
      this.flush();
      resolve();
    };
    this.encoder.out.length = 0;
    this.#writing = false;
    stream.closed.then(() => reject(new Error("The broker went away")));
    stream.attach({
      onData: (chunk) => {
        decoder.push(chunk);
        this.onBlock();
        this.flush();
      },
      onEnd: () => stream.close(),
      onDrain: () => {
        this.#writing = false;
        this.flush();
      },
    });
    this.encoder.connect({
      version: 5,
      cleanStart: false,
      keepAlive: 0,
      properties: { sessionExpiryInterval: 0xffff_ffff, receiveMaximum: WINDOW },
      clientId: this.#clientId,
      will: undefined,
      userName: undefined,
      password: undefined,
    });
    this.flush();
    await deadline(loggedIn, PATIENCE, "a CONNACK");
    return { over: stream.closed };
  }

  /** Ends the connection. */
  close(): void {
    this.#stream?.close();
  }

  /** Writes what is encoded. */
  flush(): void {
    if (this.#writing || this.encoder.out.length === 0) return;
    this.#writing = true;
    this.#stream!.write(this.encoder.out.take());
  }

  /** The session begins or continues. */
  protected abstract onSession(isNew: boolean): void;
  protected abstract onPacket(
    type: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void;

  /** All packets of a block were handled. */
  protected onBlock(): void {}
}

/** Publishes all messages; what is not completed is sent again. */
export class Publisher extends Client {
  #next = 0;
  /** The messages that are not completed, in order: by packet identifier, and whether PUBREL was sent. */
  readonly #pending = new Map<number, { readonly number: number; released: boolean }>();
  readonly #ack = new AckFields();
  readonly #payload = new Uint8Array(100);

  constructor(ledger: Ledger, qos: 1 | 2) {
    super(ledger, qos, "publisher");
  }

  protected override onSession(): void {
    for (const [id, { number, released }] of this.#pending) {
      if (released) this.encoder.ack(PUBREL, id);
      else this.#publish(id, number, true);
    }
    this.fill();
  }

  protected override onPacket(type: number, _: number, bytes: Uint8Array, start: number, end: number): void {
    this.#ack.read(type, bytes, start, end, 5);
    const { packetId, reasonCode } = this.#ack;
    const pending = this.#pending.get(packetId);
    // 0x10: no subscriber; it must have one. 0x92 of PUBCOMP: it was completed before.
    if (reasonCode !== 0 && !(type === PUBCOMP && reasonCode === 0x92)) {
      this.ledger.violations.push(`packet ${type} has the reason code ${reasonCode}`);
    }
    if (pending === undefined) return;
    if (type === PUBREC) {
      pending.released = true;
      this.encoder.ack(PUBREL, packetId);
    } else {
      this.#pending.delete(packetId);
      this.ledger.complete(pending.number);
    }
  }

  protected override onBlock(): void {
    this.fill();
  }

  /** Publishes until the window is full. */
  fill(): void {
    const { ledger } = this;
    while (
      this.#next < ledger.arrivals.length && this.#pending.size < WINDOW &&
      this.#next - ledger.received < BACKLOG
    ) {
      const number = this.#next++;
      const id = number % IDS + 1;
      this.#pending.set(id, { number, released: false });
      this.#publish(id, number, false);
    }
  }

  #publish(id: number, number: number, dup: boolean): void {
    new DataView(this.#payload.buffer).setUint32(0, number);
    const { length } = this.#payload;
    const flags = this.qos << 1 | (dup ? 8 : 0);
    this.encoder.publish(flags, id, TOPIC, TOPIC.length, NO_PROPERTIES, 0, this.#payload, 0, length);
  }
}

/** Receives all messages, and knows each one of QoS 2 until PUBREL. */
export class Subscriber extends Client {
  readonly #known = new Set<number>();
  readonly #fields = new PublishFields();
  readonly #subscribed = Promise.withResolvers<void>();
  /** The number of connections on which the broker has sent all that it could send at first. */
  settled = 0;

  constructor(ledger: Ledger, qos: 1 | 2) {
    super(ledger, qos, "subscriber");
  }

  /** Resolves when the broker has the subscription. */
  get subscribed(): Promise<void> {
    return this.#subscribed.promise;
  }

  protected override onSession(isNew: boolean): void {
    this.encoder.ping(PINGREQ);
    if (!isNew) return;
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 };
    const requests = [{ filter: "ledger/#", qos: this.qos, ...options }];
    this.encoder.subscribe({ packetId: 1, properties: {}, requests });
  }

  protected override onPacket(
    type: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (type === SUBACK) return this.#subscribed.resolve();
    if (type === PINGRESP) return void this.settled++;
    if (type === PUBREL) {
      const id = readTwo(bytes, start);
      this.#known.delete(id);
      return this.#answer(PUBCOMP, id);
    }
    if (type !== PUBLISH) return void this.ledger.violations.push(`the subscriber got a packet ${type}`);
    const fields = this.#fields;
    fields.read(flags, bytes, start, end, 5);
    const { packetId, payloadStart } = fields;
    if (this.qos === 1 || !this.#known.has(packetId)) {
      this.ledger.arrived(new DataView(bytes.buffer, bytes.byteOffset).getUint32(payloadStart));
    }
    if (this.qos === 2) this.#known.add(packetId);
    this.#answer(this.qos === 1 ? PUBACK : PUBREC, packetId);
  }

  #answer(type: AckType, id: number): void {
    this.encoder.ack(type, id);
  }
}
