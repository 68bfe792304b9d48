import { AddressInUseError, EndpointError, UnreachableError } from "../errors.ts";
import { interfaceAddress, localAddress, resolve } from "./address.ts";
import {
  type Endpoint,
  formatEndpoint,
  type HostEndpoint,
  type PathEndpoint,
  type WebEndpoint,
} from "./endpoint.ts";
import { named } from "./failure.ts";
import { connectInproc, listenInproc } from "./inproc.ts";
import { currentRuntime } from "./runtime/mod.ts";
import type { ByteStream, Listener, RawListener, TransportOptions } from "./stream.ts";
import {
  hasFolder,
  privateFolder,
  removeFolder,
  removeSocketFile,
  removeStaleSocket,
  systemPath,
} from "./unix_path.ts";

const BACKLOG = 100;

/**
 * Connects a byte stream. A host name is resolved anew at each call, and each of its addresses is tried in turn.
 *
 * @param signal ends the attempt; its reason is thrown
 * @throws {UnreachableError} nobody listens there
 * @throws {EndpointError} the endpoint is of a kind that cannot be connected to
 */
export async function connect(
  endpoint: Endpoint,
  signal: AbortSignal,
  options: TransportOptions = {},
): Promise<ByteStream> {
  try {
    switch (endpoint.scheme) {
      case "tcp":
      case "tls":
        return await connectHost(endpoint, signal, options);
      case "ipc":
      case "unix":
        return await (await currentRuntime()).connectUnix(
          systemPath(endpoint.path),
          formatEndpoint(endpoint),
          signal,
        );
      case "inproc":
        return await connectInproc(endpoint.name, signal);
      case "udp":
        throw new EndpointError("udp carries datagrams, not a stream");
      case "ws":
      case "wss": {
        const { connectWeb } = await import("./ws/mod.ts");
        return await connectWeb(
          await connectHost(below(endpoint), signal, options),
          endpoint,
          options.web,
          signal,
        );
      }
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw named("connect to", endpoint, error);
  }
}

/**
 * Binds an endpoint and hands each accepted stream to `accept`.
 *
 * @throws {AddressInUseError} somebody else is bound to it
 * @throws {EndpointError} the endpoint cannot be bound
 */
export async function listen(
  endpoint: Endpoint,
  accept: (stream: ByteStream) => void,
  options: TransportOptions = {},
): Promise<Listener> {
  const backlog = options.backlog ?? BACKLOG;
  try {
    switch (endpoint.scheme) {
      case "tcp":
      case "tls": {
        const raw = await listenHost(endpoint, backlog, accept, options);
        return { endpoint: boundName(endpoint, raw), close: raw.close };
      }
      case "ipc":
      case "unix":
        return await listenPath(endpoint, backlog, accept);
      case "inproc":
        return listenInproc(endpoint.name, accept);
      case "udp":
        throw new EndpointError("udp carries datagrams, not a stream");
      case "ws":
      case "wss": {
        const { webAcceptor } = await import("./ws/mod.ts");
        const acceptWeb = webAcceptor(endpoint, options, accept);
        const raw = await listenHost(below(endpoint), backlog, acceptWeb, options);
        return { endpoint: boundName(endpoint, raw), close: raw.close };
      }
    }
  } catch (error) {
    throw named("bind", endpoint, error);
  }
}

async function connectHost(
  endpoint: HostEndpoint,
  signal: AbortSignal,
  options: TransportOptions,
): Promise<ByteStream> {
  if (endpoint.port === 0) throw new EndpointError("port 0 can be bound, not connected to");
  const runtime = await currentRuntime();
  const tls = endpoint.scheme === "tls" ? await import("./tls.ts") : undefined;
  const source = endpoint.source &&
    { ...endpoint.source, host: await localAddress(endpoint.source.host) };
  let failure: unknown;
  for (const address of await resolve(endpoint.host === "*" ? "localhost" : endpoint.host)) {
    try {
      if (tls === undefined) {
        return notToItself(await runtime.connectTcp(address, endpoint.port, signal, source));
      }
      return await tls.connectTls(address, endpoint.port, endpoint.host, options.tls ?? {}, signal, source);
    } catch (error) {
      if (signal.aborted) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/** A port that nobody listens on may become our own while we dial it: TCP then connects the socket to itself. */
function notToItself(stream: ByteStream): ByteStream {
  if (stream.local !== stream.remote) return stream;
  stream.close();
  throw new UnreachableError("Connection refused: nobody listens there");
}

async function listenHost(
  endpoint: HostEndpoint,
  backlog: number,
  accept: (stream: ByteStream) => void,
  options: TransportOptions,
): Promise<RawListener> {
  if (endpoint.source !== undefined) throw new EndpointError("a source address is for connecting");
  const address = await localAddress(endpoint.host);
  if (endpoint.scheme === "tls") {
    const { listenTls } = await import("./tls.ts");
    return await listenTls(address, endpoint.port, backlog, options.tls ?? {}, accept);
  }
  return await (await currentRuntime()).listenTcp(address, endpoint.port, backlog, accept);
}

/** What a WebSocket stands on. */
function below({ scheme, host, port }: WebEndpoint): HostEndpoint {
  return { scheme: scheme === "ws" ? "tcp" : "tls", host, port };
}

function boundName(endpoint: HostEndpoint | WebEndpoint, { port }: RawListener): string {
  return formatEndpoint({ ...endpoint, host: boundHost(endpoint.host), port });
}

/** A host as it is told once it is bound: a name by which others may know it stays, an interface's does not. */
function boundHost(host: string): string {
  return host === "*" ? "0.0.0.0" : interfaceAddress(host) ?? host;
}

async function listenPath(
  endpoint: PathEndpoint,
  backlog: number,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  const runtime = await currentRuntime();
  const folder = endpoint.path === "*" ? privateFolder() : undefined;
  const path = folder === undefined ? endpoint.path : `${folder}/socket`;
  const name = formatEndpoint({ ...endpoint, path });
  if (await removeStaleSocket(path, runtime) === "live") {
    throw new AddressInUseError("another program listens on it");
  }
  if (!hasFolder(path)) throw new EndpointError("the folder does not exist (create it first)");
  const raw = await runtime.listenUnix(systemPath(path), name, backlog, accept);
  let open = true;
  return {
    endpoint: name,
    async close() {
      await raw.close();
      if (open) removeSocketFile(path); // Only once: the next file there is somebody else's.
      if (open && folder !== undefined) removeFolder(folder);
      open = false;
    },
  };
}
