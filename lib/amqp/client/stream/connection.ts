import { ProtocolError, RefusedError, UnreachableError } from "../../../errors.ts";
import { ClientConnection } from "../../../link/client_connection.ts";
import type { ByteStream } from "../../../transport/stream.ts";
import type { BrokerAddress } from "../url.ts";
import { COMMAND, OK, RESPONSE, StreamError } from "./commands.ts";
import { type FrameReader, StreamDecoder } from "./decoder.ts";
import { StreamEncoder } from "./encoder.ts";

/** The largest frame, in bytes, also if the server has no limit. RabbitMQ's default is the same. */
export const FRAME_MAX = 2 ** 20;
/** The maximum number of properties of a server. */
const MAX_PROPERTIES = 100;

const TERMS = { protocol: "stream", goodbye: "a Close", interval: "heartbeat interval" };

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
export class StreamConnection extends ClientConnection {
  server = "";
  readonly encoder: StreamEncoder;
  /** The largest frame that the server accepts, in bytes. */
  frameMax: number = FRAME_MAX;
  events: StreamEvents = {};

  readonly #decoder = new StreamDecoder(FRAME_MAX, (key, fields) => this.#onFrame(key, fields));
  /** By correlation id. */
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  #tuned: (() => void) | undefined;

  constructor(stream: ByteStream) {
    const encoder = new StreamEncoder();
    super(stream, encoder.out, TERMS);
    this.encoder = encoder;
    this.attach();
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
    this.checkOpen();
    return await this.#call(key, what, write, read);
  }

  override flush(): void {
    this.encoder.endPublish();
    super.flush();
  }

  protected override onInput(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    this.events.onBatchEnd?.();
  }

  protected override onWritable(): void {
    this.events.onWritable?.();
  }

  protected override sayGoodbye(): void {
    const answer = this.#call(
      COMMAND.close,
      "close",
      (encoder) => encoder.uint16(OK).text("Goodbye"),
      () => {},
    );
    // Also if the server refuses.
    answer.catch(() => {}).then(() => this.abort());
  }

  protected override onBeat(wrote: boolean): void {
    if (!wrote) this.encoder.begin(COMMAND.heartbeat).end();
  }

  protected override onOver(reason: Error): void {
    for (const { reject } of this.#calls.values()) reject(reason);
    this.#calls.clear();
  }

  #call<T>(
    key: number,
    what: string,
    write: (encoder: StreamEncoder) => void,
    read: (fields: FrameReader) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastCall;
      this.#calls.set(id, { key, what, resolve: (fields) => resolve(read(fields)), reject });
      this.encoder.begin(key).uint32(id);
      write(this.encoder);
      this.encoder.end();
      this.flush();
    });
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
        return this.closeWritten(this.closing ? undefined : error);
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
    this.keepAlive(heartbeat * 1000, heartbeat * 1000);
    this.#tuned();
    this.#tuned = undefined;
  }
}

function readProperties(fields: FrameReader): Map<string, string> {
  const count = fields.uint32();
  if (count > MAX_PROPERTIES) throw new ProtocolError(`The server has ${count} properties`);
  const properties = new Map<string, string>();
  for (let i = 0; i < count; i++) properties.set(fields.text(), fields.text());
  return properties;
}
