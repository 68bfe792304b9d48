import { lookup } from "node:dns/promises";
import { AddressInUseError, EndpointError, messageOf, MqcatError, UnreachableError } from "../errors.ts";
import { type Endpoint, formatEndpoint, type HostEndpoint, type PathEndpoint } from "./endpoint.ts";
import { connectInproc, listenInproc } from "./inproc.ts";
import { currentRuntime } from "./runtime/mod.ts";
import type { ByteStream, Listener, RawListener, TransportOptions } from "./stream.ts";
import { hasFolder, removeSocketFile, removeStaleSocket, systemPath } from "./unix_path.ts";

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
        return connectInproc(endpoint.name);
      case "udp":
        throw new EndpointError("udp carries datagrams, not a stream");
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
        return {
          endpoint: formatEndpoint({ ...endpoint, host: boundHost(endpoint.host), port: raw.port }),
          close: raw.close,
        };
      }
      case "ipc":
      case "unix":
        return await listenPath(endpoint, backlog, accept);
      case "inproc":
        return listenInproc(endpoint.name, accept);
      case "udp":
        throw new EndpointError("udp carries datagrams, not a stream");
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
  let failure: unknown;
  for (const address of await resolve(endpoint.host === "*" ? "localhost" : endpoint.host)) {
    try {
      if (tls === undefined) return notToItself(await runtime.connectTcp(address, endpoint.port, signal));
      return await tls.connectTls(address, endpoint.port, endpoint.host, options.tls ?? {}, signal);
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
  const [address] = await resolve(boundHost(endpoint.host));
  if (endpoint.scheme === "tls") {
    const { listenTls } = await import("./tls.ts");
    return await listenTls(address!, endpoint.port, backlog, options.tls ?? {}, accept);
  }
  return await (await currentRuntime()).listenTcp(address!, endpoint.port, backlog, accept);
}

/** `*` is every IPv4 interface, as in libzmq; `[::]` is every one of both families. */
function boundHost(host: string): string {
  return host === "*" ? "0.0.0.0" : host;
}

async function listenPath(
  endpoint: PathEndpoint,
  backlog: number,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  const runtime = await currentRuntime();
  const { path } = endpoint;
  const name = formatEndpoint(endpoint);
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
      open = false;
    },
  };
}

/** Every address of a host, IPv4 first: the order in which libzmq, with IPv6 off, would look. */
async function resolve(host: string): Promise<string[]> {
  if (/^[\d.]+$|:/.test(host)) return [host];
  try {
    const addresses = await lookup(host, { all: true });
    addresses.sort((a, b) => a.family - b.family);
    return addresses.map((entry) => entry.address);
  } catch (error) {
    throw new UnreachableError(`The host name '${host}' does not resolve`, { cause: error });
  }
}

/** Puts the endpoint's name before what went wrong with it. */
function named(action: string, endpoint: Endpoint, error: unknown): unknown {
  const text = `Cannot ${action} ${formatEndpoint(endpoint)}: ${lowerFirst(messageOf(error))}`;
  if (error instanceof AddressInUseError) return new AddressInUseError(text, { cause: error });
  if (error instanceof EndpointError) return new EndpointError(text, { cause: error });
  if (error instanceof MqcatError) return new UnreachableError(text, { cause: error });
  return new UnreachableError(text, { cause: error });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
