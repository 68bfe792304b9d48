/** What the tests of the echo server and client share: servers, clients and raw peers that end with the test. */
import { createHash } from "node:crypto";
import { connectEcho } from "../../../lib/echo/client.ts";
import type { EchoClient, EchoClientOptions } from "../../../lib/echo/client_types.ts";
import { serveEcho } from "../../../lib/echo/server.ts";
import type { EchoServer, EchoServerEvent, EchoServerOptions } from "../../../lib/echo/server_types.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { deadline, TestPeer, waitFor } from "../../support/helpers.ts";
import { certificate } from "../../support/stream_adapters.ts";

/** Bytes in a mebibyte. */
export const MB = 1024 * 1024;

/** A server that keeps its events, and closes at the end of the scope. */
export interface Served extends AsyncDisposable {
  readonly server: EchoServer;
  readonly endpoint: string;
  readonly events: EchoServerEvent[];
  /** Waits for the `count`th event of a type. */
  event<T extends EchoServerEvent["type"]>(type: T, count?: number): Promise<EchoServerEvent & { type: T }>;
}

/** Starts an echo server with a certificate. */
export async function serve(endpoint: string, options: EchoServerOptions = {}): Promise<Served> {
  const events: EchoServerEvent[] = [];
  const server = await serveEcho(endpoint, {
    tls: certificate(),
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return {
    server,
    endpoint: server.endpoint,
    events,
    event: (type, count = 1) =>
      waitFor(
        () =>
          events.filter((event) => event.type === type)[count - 1] as EchoServerEvent & { type: typeof type },
        5000,
        `event ${type} ${count} among ${events.map((event) => event.type)}`,
      ),
    [Symbol.asyncDispose]: () => deadline(server.close(), 5000, "the server to close"),
  };
}

/** A raw stream to the server, without the echo client. */
export async function dial(endpoint: string): Promise<TestPeer> {
  const tls = { ca: certificate().cert };
  return new TestPeer(await connect(endpoint, { tls, signal: AbortSignal.timeout(5000) }));
}

/** An echo client that keeps the digest of the echo, and respects backpressure. */
export class Talker {
  readonly #hash = createHash("sha256");
  readonly chunks: string[] = [];
  client!: EchoClient;
  #drained = () => {};

  static async open(endpoint: string, options: Partial<EchoClientOptions> = {}): Promise<Talker> {
    const talker = new Talker();
    talker.client = await connectEcho(endpoint, {
      tls: { ca: certificate().cert },
      onData(chunk) {
        talker.#hash.update(chunk);
        if (talker.chunks.length < 100) talker.chunks.push(new TextDecoder("latin1").decode(chunk));
      },
      onDrain: () => talker.#drained(),
      ...options,
    });
    return talker;
  }

  async send(bytes: Uint8Array | string): Promise<void> {
    const drained = new Promise<void>((resolve) => this.#drained = resolve);
    if (!this.client.send(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes)) {
      await deadline(drained, 5000, "room to send");
    }
  }

  closed(): Promise<Error | undefined> {
    return deadline(this.client.closed, 10_000, "the end of the conversation");
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}

/** Bytes of every value, different in every block. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
}

/** The SHA-256 of bytes, in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A listener that passes each stream to a callback of the test. */
export async function badServer(accept: (stream: ByteStream) => void) {
  const streams: ByteStream[] = [];
  const listener = await listen(":0", (stream) => {
    streams.push(stream);
    accept(stream);
  });
  return {
    endpoint: listener.endpoint,
    async [Symbol.asyncDispose]() {
      for (const stream of streams) stream.close();
      await deadline(listener.close(), 5000, "the listener to close");
    },
  };
}
