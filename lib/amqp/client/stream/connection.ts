import { ClosedError, messageOf, ProtocolError, RefusedError, UnreachableError } from "../../../errors.ts";
import type { Connection } from "../../../link/protocol.ts";
import type { ByteStream, StreamSink } from "../../../transport/stream.ts";
import type { BrokerAddress } from "../url.ts";
import { COMMAND, OK, RESPONSE, StreamError } from "./commands.ts";
import { type FrameReader, StreamDecoder } from "./decoder.ts";
import { StreamEncoder } from "./encoder.ts";

/** The largest frame, in bytes, also if the server has no limit. RabbitMQ's default is the same. */
export const FRAME_MAX = 2 ** 20;
/** The size of unwritten output at which publishing should pause, in bytes. */
const HIGH_WATER = 256 * 1024;
/** The default time limit for the server's reply to Close, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000;
/** The maximum number of properties of a server. */
const MAX_PROPERTIES = 100;

/** Callbacks of a connection. An error that they throw closes the connection. */
export interface StreamEvents {
  /** A frame arrived that is not a response. */
  onFrame?(key: number, fields: FrameReader): void;
  /** All frames of one received chunk were reported. */
  onBatchEnd?(): void;
  /** The system accepted output, so that the output buffer has room again. */
  onWritable?(): void;
}

interface Call {
  readonly key: number;
  readonly what: string;
  resolve(fields: FrameReader): void;
  reject(error: Error): void;
}

/** A connection of the stream protocol. */
export class StreamConnection implements Connection, StreamSink {
  server = "";
  readonly closed: Promise<Error | undefined>;
  readonly encoder: StreamEncoder = new StreamEncoder();
  /** The largest frame that the server accepts, in bytes. */
  frameMax: number = FRAME_MAX;
  events: StreamEvents = {};

  readonly #stream: ByteStream;
  readonly #decoder = new StreamDecoder(FRAME_MAX, (key, fields) => this.#onFrame(key, fields));
  /** By correlation id. */
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  #tuned: (() => void) | undefined;
  #flight: Uint8Array | undefined;
  #closing = false;
  #over = false;
  /** The error that closed the connection. */
  #error: Error | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #wrote = false;
  #heard = false;
  /** The number of half heartbeat intervals without received data. */
  #silence = 0;

  constructor(stream: ByteStream) {
    this.#stream = stream;
    this.closed = stream.closed.then((cause) => this.#onClosed(cause));
    stream.attach(this);
  }

  /** Whether the output buffer is so large that publishing should wait for `onWritable`. */
  get full(): boolean {
    return this.encoder.out.length >= HIGH_WATER;
  }

  /** Whether the connection is closed or closing. */
  get over(): boolean {
    return this.#over || this.#closing;
  }

  /**
   * Logs in.
   *
   * @throws {RefusedError} wrong credentials, or no access to the virtual host
   */
  async logIn({ user, password, vhost }: BrokerAddress): Promise<void> {
    const properties = await this.call(COMMAND.peerProperties, "properties", (encoder) => {
      encoder.uint32(1).text("product").text("mqcat");
    }, readProperties);
    this.server = [properties.get("product"), properties.get("version")].filter(Boolean).join(" ");
    try {
      await this.call(COMMAND.saslHandshake, "login");
      const tuned = new Promise<void>((resolve) => this.#tuned = resolve);
      const login = new TextEncoder().encode(`\0${user}\0${password}`);
      await this.call(COMMAND.saslAuthenticate, "login", (encoder) => encoder.text("PLAIN").bytes(login));
      await Promise.race([tuned, this.closed.then((error) => Promise.reject(error))]);
      await this.call(COMMAND.open, `virtual host '${vhost}'`, (encoder) => encoder.text(vhost));
    } catch (error) {
      throw error instanceof StreamError ? new RefusedError(error.message, { cause: error }) : error;
    }
  }

  /**
   * Sends a request, and waits for its response.
   *
   * @param what names it in an error
   * @param write encodes its fields
   * @param read decodes the fields of the response after its code
   * @throws {StreamError} the response is not a success
   * @throws {ClosedError | UnreachableError} the connection is closed
   */
  async call<T = void>(
    key: number,
    what: string,
    write: (encoder: StreamEncoder) => void = () => {},
    read: (fields: FrameReader) => T = () => undefined as T,
  ): Promise<T> {
    if (this.over) throw this.#error ?? new ClosedError("The connection is closed");
    return await new Promise((resolve, reject) => {
      const id = ++this.#lastCall;
      this.#calls.set(id, { key, what, resolve: (fields) => resolve(read(fields)), reject });
      this.encoder.begin(key).uint32(id);
      write(this.encoder);
      this.encoder.end();
      this.flush();
    });
  }

  /** Writes the output buffer; after the current write, if there is one. */
  flush(): void {
    this.encoder.endPublish();
    if (this.#flight !== undefined || this.encoder.out.length === 0 || this.#over) return;
    this.#flight = this.encoder.out.take();
    this.#wrote = true;
    this.#stream.write(this.#flight);
  }

  async close(limit = CLOSE_TIMEOUT_MS): Promise<void> {
    if (!this.over) {
      const timer = setTimeout(() => this.#stream.close(), limit);
      const closed = this.call(COMMAND.close, "close", (encoder) => encoder.uint16(OK).text("Goodbye"));
      this.#closing = true;
      await closed.catch(() => {});
      clearTimeout(timer);
      this.#stream.close();
    }
    await this.closed;
  }

  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#heard = true;
    if (this.#over) return;
    this.#guard(() => {
      this.#decoder.push(chunk);
      this.events.onBatchEnd?.();
    });
  }

  onEnd(): void {
    this.#stream.close(this.#closing ? undefined : new UnreachableError("The server closed the connection"));
  }

  onDrain(): void {
    const done = this.#flight;
    this.#flight = undefined;
    if (done !== undefined) this.encoder.out.recycle(done);
    this.flush();
    if (!this.full) this.#guard(() => this.events.onWritable?.());
  }

  /** Does work that has no caller to catch its error: the error closes the connection. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  #onFrame(key: number, fields: FrameReader): void {
    if ((key & RESPONSE) !== 0) return this.#onResponse(key & ~RESPONSE, fields);
    switch (key) {
      case COMMAND.tune:
        return this.#onTune(fields.uint32(), fields.uint32());
      case COMMAND.close: {
        const id = fields.uint32();
        const error = new UnreachableError(
          `The server closed the connection: ${fields.uint16()} ${fields.text()}`,
        );
        this.encoder.begin(COMMAND.close | RESPONSE).uint32(id).uint16(OK).end();
        this.flush();
        return this.#fail(error);
      }
      case COMMAND.heartbeat:
        return;
      default:
        return this.events.onFrame?.(key, fields);
    }
  }

  #onResponse(key: number, fields: FrameReader): void {
    const id = fields.uint32();
    const call = this.#calls.get(id);
    if (call === undefined || call.key !== key) {
      throw new ProtocolError(`Unexpected response ${id} to command ${key}`);
    }
    const code = fields.uint16();
    if (code === OK) call.resolve(fields);
    else call.reject(new StreamError(code, call.what));
    // Not before: a response that cannot be read ends the connection, and this call with it.
    this.#calls.delete(id);
  }

  /** Accepts the server's limits. */
  #onTune(frameMax: number, heartbeat: number): void {
    if (this.#tuned === undefined) throw new ProtocolError("Unexpected Tune");
    if (frameMax > 0) this.frameMax = Math.min(FRAME_MAX, frameMax);
    this.encoder.begin(COMMAND.tune).uint32(this.frameMax).uint32(heartbeat).end();
    this.flush();
    if (heartbeat > 0) this.#timer = setInterval(() => this.#beat(heartbeat), heartbeat * 500);
    this.#tuned();
    this.#tuned = undefined;
  }

  /** Runs twice per interval. */
  #beat(heartbeat: number): void {
    if (!this.#wrote && this.#flight === undefined) this.encoder.begin(COMMAND.heartbeat).end();
    this.flush();
    this.#wrote = false;
    this.#silence = this.#heard ? 0 : this.#silence + 1;
    this.#heard = false;
    if (this.#silence < 4) return;
    this.#stream.close(new UnreachableError(`The server sent nothing for ${2 * heartbeat} s`));
  }

  #fail(error: Error): void {
    this.#over = true;
    this.#error = error;
    this.#stream.close(error);
  }

  #onClosed(cause: Error | undefined): Error | undefined {
    this.#over = true;
    clearInterval(this.#timer);
    const reason = this.#error = cause ??
      (this.#closing ? undefined : new UnreachableError("The connection was closed"));
    for (const { reject } of this.#calls.values()) {
      reject(reason ?? new ClosedError("The connection was closed"));
    }
    this.#calls.clear();
    return reason;
  }
}

function readProperties(fields: FrameReader): Map<string, string> {
  const count = fields.uint32();
  if (count > MAX_PROPERTIES) throw new ProtocolError(`The server has ${count} properties`);
  const properties = new Map<string, string>();
  for (let i = 0; i < count; i++) properties.set(fields.text(), fields.text());
  return properties;
}
