/** A STOMP client for tests that can send any bytes, and records everything that the server sends. */
import { parseEndpoint } from "../../lib/transport/endpoint.ts";
import type { ByteStream, StreamSink, TlsOptions } from "../../lib/transport/stream.ts";
import { connect } from "../../lib/transport/transport.ts";
import { StompDecoder } from "../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../lib/stomp/frame_encoder.ts";
import type { StompVersion } from "../../lib/stomp/frame.ts";
import { DEADLINE, deadline } from "./helpers.ts";

/** A received frame. */
export interface SeenFrame {
  readonly command: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly body: Uint8Array;
}

export type Headers = Readonly<Record<string, string>>;

const utf8 = new TextEncoder();

/** One connection. */
export class StompPeer implements StreamSink, Disposable {
  /** All received frames, in order. */
  readonly received: SeenFrame[] = [];
  /** Number of received bytes. */
  bytes = 0;
  /** Whether the server has ended the connection. */
  over = false;
  readonly closed: Promise<unknown>;

  readonly #stream: ByteStream;
  readonly #decoder: StompDecoder;
  readonly #encoder = new StompEncoder();
  /** Frames that no `take` has returned yet. */
  readonly #untaken: SeenFrame[] = [];
  #wake: (() => void) | undefined;
  #writing = false;
  #receipts = 0;

  private constructor(stream: ByteStream, version: StompVersion) {
    this.#stream = stream;
    this.#decoder = new StompDecoder({
      onFrame: ({ command, headers, body, bodyStart, bodyEnd }) => {
        const copy = body.slice(bodyStart, bodyEnd);
        const text = new TextDecoder().decode(copy);
        const frame = { command, headers: Object.fromEntries(headers), text, body: copy };
        this.received.push(frame);
        this.#untaken.push(frame);
      },
    }, { maxBody: 2 ** 30 });
    this.#decoder.version = this.#encoder.version = version;
    this.closed = stream.closed;
    stream.closed.then(() => {
      this.over = true;
      this.#wake?.();
    });
    stream.attach(this);
  }

  /** Connects without a login. */
  static async dial(url: string, version: StompVersion = "1.2", tls: TlsOptions = {}): Promise<StompPeer> {
    const web = { protocols: [`v${version.replace(".", "")}.stomp`], carries: "bytes" } as const;
    const endpoint = parseEndpoint(url.replace(/^stomp:/, "tcp:").replace(/^stomps:/, "tls:"));
    return new StompPeer(
      await connect(endpoint, { signal: AbortSignal.timeout(DEADLINE), tls, web }),
      version,
    );
  }

  /** Connects and logs in. */
  static async open(url: string, version: StompVersion = "1.2", headers: Headers = {}): Promise<StompPeer> {
    const peer = await StompPeer.dial(url, version);
    peer.send("CONNECT", {
      "accept-version": version,
      host: "/",
      login: "guest",
      passcode: "guest",
      ...headers,
    });
    await peer.take("CONNECTED");
    return peer;
  }

  /** Sends a frame. */
  send(command: string, headers: Headers = {}, body: string | Uint8Array = ""): void {
    this.#encoder.frame(
      command,
      Object.entries(headers),
      typeof body === "string" ? utf8.encode(body) : body,
    );
    this.#flush();
  }

  /** Sends bytes. */
  raw(bytes: string | Uint8Array): void {
    this.#encoder.out.append(typeof bytes === "string" ? utf8.encode(bytes) : bytes);
    this.#flush();
  }

  /** Returns the next frame with one of these commands; frames with other commands stay. */
  async take(...commands: string[]): Promise<SeenFrame> {
    const command = commands.join(" or ");
    const wait = async () => {
      for (;;) {
        const at = this.#untaken.findIndex((frame) => commands.includes(frame.command));
        if (at >= 0) return this.#untaken.splice(at, 1)[0]!;
        if (this.over) throw new Error(`The connection ended without ${command}: ${this.#summary()}`);
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    };
    try {
      return await deadline(wait(), DEADLINE, command);
    } catch (error) {
      throw new Error(`No ${command} arrived: ${this.#summary()}`, { cause: error });
    }
  }

  /** Returns the texts of the next messages. */
  async texts(count: number): Promise<string[]> {
    const texts: string[] = [];
    while (texts.length < count) texts.push((await this.take("MESSAGE")).text);
    return texts;
  }

  /** Sends a frame and waits for its receipt. */
  async call(command: string, headers: Headers = {}, body: string | Uint8Array = ""): Promise<void> {
    const receipt = `call-${++this.#receipts}`;
    this.send(command, { ...headers, receipt }, body);
    const { headers: { "receipt-id": id } } = await this.take("RECEIPT");
    if (id !== receipt) throw new Error(`The receipt ${id} arrived instead of ${receipt}`);
  }

  /** Disconnects and waits for the end. */
  async close(): Promise<void> {
    if (!this.over) this.send("DISCONNECT", { receipt: "bye" });
    const timer = setTimeout(() => this.#stream.close(), DEADLINE);
    await this.closed;
    clearTimeout(timer);
  }

  /** Ends the connection without DISCONNECT. */
  cut(): void {
    this.#stream.close();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  [Symbol.dispose](): void {
    this.#stream.close();
  }

  onData(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.#decoder.push(chunk);
    this.#wake?.();
  }

  onEnd(): void {
    this.over = true;
    this.#stream.close();
    this.#wake?.();
  }

  onDrain(): void {
    this.#writing = false;
    this.#flush();
  }

  #flush(): void {
    if (this.#writing || this.over || this.#encoder.out.length === 0) return;
    this.#writing = true;
    this.#stream.write(this.#encoder.out.take());
  }

  #summary(): string {
    return this.received.map(({ command, headers, text }) =>
      `${command} ${JSON.stringify(headers)} ${text.slice(0, 100)}`
    )
      .join("; ");
  }
}
