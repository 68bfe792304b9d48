/** An adapter for each kind of byte stream on this runtime, which opens a connected pair of streams. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { parseEndpoint } from "../../lib/transport/endpoint.ts";
import { connectInproc, listenInproc } from "../../lib/transport/schemes/inproc.ts";
import { nodeRuntime } from "../../lib/transport/runtime/node.ts";
import type { ByteStream, Listener, RawListener, Runtime } from "../../lib/transport/stream.ts";
import { connectTls, listenTls } from "../../lib/transport/tls_socket.ts";
import { connect, listen } from "../../lib/transport/transport.ts";
import { deadline, tempDir } from "./helpers.ts";
import { FramedStream } from "./framed_stream.ts";

/** Two ends of one connection; `dispose` removes everything. */
export interface Pair extends AsyncDisposable {
  readonly near: ByteStream;
  readonly far: ByteStream;
}

/** One implementation of `ByteStream`, for the suite. */
export interface Adapter {
  readonly name: string;
  /** Whether the system connects the ends, with buffers, and distinguishes a reset from an end. */
  readonly system: boolean;
  /** Whether one end can still write after the other one has ended. */
  readonly halves: boolean;
  open(): Promise<Pair>;
}

export const NEVER = new AbortController().signal;
export const onDeno = "Deno" in globalThis;

/** The adapters of the runtimes: `node:net` everywhere, `Deno.*` on Deno. */
export const runtimes: readonly (readonly [name: string, runtime: Runtime])[] = [
  ...(onDeno ? [["deno", (await import("../../lib/transport/runtime/deno.ts")).denoRuntime] as const] : []),
  ["node", nodeRuntime] as const,
];

export const adapters: readonly Adapter[] = [
  ...runtimes.flatMap(([name, runtime]) => [tcp(name, runtime), unix(name, runtime)]),
  { name: "tls", system: true, halves: true, open: openTls },
  { name: "ws", system: true, halves: false, open: () => openWeb("ws") },
  { name: "wss", system: true, halves: false, open: () => openWeb("wss") },
  { name: "inproc", system: false, halves: true, open: openInproc },
];

function tcp(name: string, runtime: Runtime): Adapter {
  return {
    name: `${name} tcp`,
    system: true,
    halves: true,
    open: () =>
      openPair(
        (accept) => runtime.listenTcp("127.0.0.1", 0, 10, accept),
        (listener) => runtime.connectTcp("127.0.0.1", listener.port, NEVER),
      ),
  };
}

function unix(name: string, runtime: Runtime): Adapter {
  return {
    name: `${name} unix`,
    system: true,
    halves: true,
    open() {
      const dir = tempDir();
      const path = dir.file("s");
      return openPair(
        (accept) => runtime.listenUnix(path, `ipc://${path}`, 10, accept),
        () => runtime.connectUnix(path, `ipc://${path}`, NEVER),
        () => dir.remove(),
      );
    },
  };
}

function openTls(): Promise<Pair> {
  const { cert, key } = certificate();
  return openPair(
    (accept) => listenTls("127.0.0.1", 0, 10, { cert, key }, accept),
    (listener) => connectTls("127.0.0.1", listener.port, "localhost", { ca: cert }, NEVER),
  );
}

async function openWeb(scheme: "ws" | "wss"): Promise<Pair> {
  const { cert, key } = scheme === "wss" ? certificate() : { cert: "", key: "" };
  const server = scheme === "wss" ? { tls: { cert, key } } : {};
  const client = scheme === "wss" ? { tls: { ca: cert } } : {};
  let bound: Listener | undefined;
  return await openPair(
    async (accept) => {
      const endpoint = parseEndpoint(`${scheme}://localhost:0/suite`);
      bound = await listen(endpoint, (stream) => accept(new FramedStream(stream)), server);
      return { port: 0, close: () => bound!.close() };
    },
    async () => new FramedStream(await connect(bound!.endpoint, client)),
  );
}

let names = 0;

function openInproc(): Promise<Pair> {
  const name = `pair-${++names}`;
  return openPair(
    (accept) => Promise.resolve({ port: 0, ...listenInproc(name, accept) }),
    () => connectInproc(name, NEVER),
  );
}

async function openPair(
  listen: (accept: (stream: ByteStream) => void) => Promise<RawListener>,
  connect: (listener: RawListener) => Promise<ByteStream>,
  clean: () => void = () => {},
): Promise<Pair> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await listen(accepted.resolve);
  const near = await deadline(connect(listener), 5000, "the connection");
  const far = await deadline(accepted.promise, 5000, "the accepted stream");
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.close();
      far.close();
      await deadline(listener.close(), 5000, "the listener to close");
      clean();
    },
  };
}

let made: { cert: string; key: string } | undefined;

/** A self-signed certificate for localhost and 127.0.0.1, created once by openssl. */
export function certificate(): { cert: string; key: string } {
  return made ??= freshCertificate();
}

/** Makes a new certificate for localhost, and its key. */
export function freshCertificate(): { cert: string; key: string } {
  using dir = tempDir();
  execFileSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ...["-keyout", dir.file("key"), "-out", dir.file("cert")],
  ], { stdio: "ignore" });
  return { cert: fs.readFileSync(dir.file("cert"), "utf8"), key: fs.readFileSync(dir.file("key"), "utf8") };
}
