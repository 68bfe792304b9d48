/** The server of RabbitMQ's stream protocol, which the test is. */
import assert from "node:assert/strict";
import { COMMAND, RESPONSE } from "../../../../../lib/amqp/client/stream/commands.ts";
import { FRAME_MAX, StreamConnection } from "../../../../../lib/amqp/client/stream/connection.ts";
import { type FrameReader, StreamDecoder } from "../../../../../lib/amqp/client/stream/decoder.ts";
import { StreamEncoder } from "../../../../../lib/amqp/client/stream/encoder.ts";
import { parseAmqpUrl } from "../../../../../lib/amqp/client/url.ts";
import { MqcatError } from "../../../../../lib/errors.ts";
import { deadline, waitFor } from "../../../../support/helpers.ts";
import { ScriptedStream } from "../../../../support/scripted_stream.ts";

export const BROKERS = parseAmqpUrl("amqp://me:secret@localhost/shop");

/** How the fields of the client's frames are read. */
export const FIELDS: Readonly<Record<number, (fields: FrameReader) => unknown[]>> = {
  [COMMAND.declarePublisher]: (f) => [f.uint32(), f.uint8(), f.text(), f.text()],
  [COMMAND.queryPublisherSequence]: (f) => [f.uint32(), f.text(), f.text()],
  [COMMAND.peerProperties]: (f) => [f.uint32(), f.uint32(), f.text(), f.text()],
  [COMMAND.saslHandshake]: (f) => [f.uint32()],
  [COMMAND.saslAuthenticate]: (f) => [f.uint32(), f.text(), textOf(f, f.uint32())],
  [COMMAND.tune]: (f) => [f.uint32(), f.uint32()],
  [COMMAND.open]: (f) => [f.uint32(), f.text()],
  [COMMAND.close]: (f) => [f.uint32(), f.uint16(), f.text()],
  [COMMAND.close | RESPONSE]: (f) => [f.uint32(), f.uint16()],
  [COMMAND.heartbeat]: () => [],
  // The ids of the messages, whose sections are not of interest here.
  [COMMAND.publish]: (f) => [
    f.uint8(),
    ...Array.from({ length: f.uint32() }, () => {
      const id = f.uint64();
      textOf(f, f.uint32());
      return id;
    }),
  ],
};

export function textOf(fields: FrameReader, length: number): string {
  return String.fromCharCode(...Array.from({ length }, () => fields.uint8()));
}

/** A frame of the client: its command, and its fields. */
export type Sent = [command: string, ...fields: unknown[]];

/** The server of one connection. */
export class Server {
  readonly stream = new ScriptedStream();
  readonly #encoder = new StreamEncoder();

  /** @param confirmsClose whether it confirms a close of the client */
  constructor(confirmsClose = false) {
    if (!confirmsClose) return;
    const { stream } = this;
    stream.write = (bytes) => {
      ScriptedStream.prototype.write.call(stream, bytes);
      const [command, id] = this.sent.at(-1)!;
      if (command === "close") queueMicrotask(() => this.answer(COMMAND.close, id as number));
    };
  }

  /** What the client has sent. */
  get sent(): Sent[] {
    const sent: Sent[] = [];
    const decoder = new StreamDecoder(FRAME_MAX, (key, fields) => {
      const name = Object.entries(COMMAND).find(([, value]) => value === (key & ~RESPONSE))![0];
      sent.push([key === (key & ~RESPONSE) ? name : `${name}Response`, ...FIELDS[key]!(fields)]);
      assert.throws(() => fields.uint8(), /ends before its fields/);
    });
    decoder.push(this.stream.sent);
    return sent;
  }

  /** Waits until the client has sent so many frames. */
  async until(count: number): Promise<Sent[]> {
    await waitFor(() => this.sent.length >= count, 5000, `${count} frames`);
    return this.sent;
  }

  say(key: number, write: (encoder: StreamEncoder) => void = () => {}): void {
    write(this.#encoder.begin(key));
    this.#encoder.end();
    this.stream.feed(this.#encoder.out.take());
  }

  answer(key: number, id: number, code = 1, write: (encoder: StreamEncoder) => void = () => {}): void {
    this.say(key | RESPONSE, (encoder) => write(encoder.uint32(id).uint16(code)));
  }

  /** Accepts the login. */
  async accept({ frameMax = 0, heartbeat = 0 } = {}): Promise<void> {
    await this.until(1);
    this.answer(COMMAND.peerProperties, 1, 1, (encoder) => {
      encoder.uint32(2).text("product").text("RabbitMQ").text("version").text("4.1");
    });
    await this.until(2);
    this.answer(COMMAND.saslHandshake, 2);
    await this.until(3);
    this.answer(COMMAND.saslAuthenticate, 3);
    this.say(COMMAND.tune, (encoder) => encoder.uint32(frameMax).uint32(heartbeat));
    await this.until(5);
    this.answer(COMMAND.open, 4);
  }

  /** Accepts a publisher whose last id is `known`. */
  async declare(known: number): Promise<void> {
    await this.until(6);
    this.answer(COMMAND.declarePublisher, 5);
    await this.until(7);
    this.answer(COMMAND.queryPublisherSequence, 6, 1, (encoder) => encoder.uint32(0).uint32(known));
  }

  confirm(...ids: number[]): void {
    this.say(COMMAND.publishConfirm, (encoder) => {
      encoder.uint8(1).uint32(ids.length);
      for (const id of ids) encoder.uint32(0).uint32(id);
    });
  }
}

/** A connection that is not logged in. */
export function connect() {
  const server = new Server();
  return { server, stream: server.stream, connection: new StreamConnection(server.stream) };
}

/** A connection after its login. */
export async function loggedIn(tune = {}) {
  const parts = connect();
  const login = parts.connection.logIn(BROKERS[0]!);
  await parts.server.accept(tune);
  await deadline(login, 5000, "the login");
  return parts;
}

/** Waits until writes are done. */
export const settle = () => new Promise((resolve) => setTimeout(resolve));

export const failsWith = (code: string, message: string) => (error: unknown) => {
  assert.ok(error instanceof MqcatError, `${error}`);
  assert.deepEqual([error.code, error.message], [code, message]);
  return true;
};
