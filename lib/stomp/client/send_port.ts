import { decodeProperties } from "../../amqp/properties.ts";
import { destinationFor } from "../../crossing/stomp/destination.ts";
import { writeSendHeaders } from "../../crossing/stomp/headers.ts";
import type { Envelope } from "../../link/message.ts";
import type { Port } from "../../link/port.ts";
import { StompEncoder } from "../frame_encoder.ts";
import type { StompVersion } from "../frame.ts";
import type { StompConnection } from "./connection.ts";

/** Encodes the heads of SEND frames: command, destination, and the headers of an envelope. Each is encoded once. */
export class SendHeads {
  readonly #declares: boolean;
  readonly #encoder = new StompEncoder();
  #heads = new WeakMap<Envelope, Uint8Array>();
  #last: Envelope | undefined;
  #lastHead: Uint8Array = new Uint8Array(0);

  /** @param declares whether SEND may declare queues: see `destinationFor` */
  constructor(declares: boolean) {
    this.#declares = declares;
    this.version = "1.2";
  }

  /** The version that decides how headers are escaped. */
  set version(version: StompVersion) {
    if (this.#encoder.version === version) return;
    this.#encoder.version = version;
    this.#heads = new WeakMap();
    this.#last = undefined;
  }

  /** @throws {AmqpError} 501: the properties are malformed */
  headOf(envelope: Envelope): Uint8Array {
    if (envelope === this.#last) return this.#lastHead;
    let head = this.#heads.get(envelope);
    if (head === undefined) {
      const { out } = this.#encoder;
      out.length = 0;
      this.write(this.#encoder, envelope);
      head = out.bytes.slice(0, out.length);
      this.#heads.set(envelope, head);
    }
    this.#last = envelope;
    return this.#lastHead = head;
  }

  /** Encodes a head, for an envelope whose properties may have changed. @throws as `headOf` */
  write(encoder: StompEncoder, { exchange, routingKey, properties }: Envelope): void {
    const decoded = decodeProperties(properties);
    const destination = destinationFor(exchange, routingKey, this.#declares);
    encoder.begin("SEND");
    encoder.header("destination", destination);
    writeSendHeaders(encoder, decoded, destination.startsWith("/queue/"));
  }
}

/** Sends messages whose receipts are the tags of the publisher. */
export class SendPort implements Port {
  /** Whether a message was sent. */
  used = false;

  readonly #connection: StompConnection;
  readonly #heads: SendHeads;
  readonly #changes: boolean;

  /** @param changes whether the properties of an envelope change between its messages */
  constructor(connection: StompConnection, heads: SendHeads, changes: boolean) {
    this.#connection = connection;
    this.#heads = heads;
    this.#changes = changes;
  }

  get full(): boolean {
    return this.#connection.full || this.#connection.over;
  }

  publish(tag: number, envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    const { encoder } = this.#connection;
    this.used = true;
    if (this.#changes) this.#heads.write(encoder, envelope);
    else encoder.out.append(this.#heads.headOf(envelope));
    encoder.header("receipt", String(tag));
    encoder.end(bytes, start, end);
  }

  flush(): void {
    this.#connection.flush();
  }
}
