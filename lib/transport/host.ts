import { AddressInUseError, EndpointError, UnreachableError } from "../errors.ts";
import { interfaceAddress, localAddress, resolve } from "./address.ts";
import type { HostEndpoint, SourceAddress } from "./endpoint_types.ts";
import { currentRuntime } from "./runtime/mod.ts";
import { formatHostEndpoint } from "./schemes/text.ts";
import type { ByteStream, Listener, RawListener } from "./stream.ts";

/** Connects over TCP. @param only the only address to try */
export async function connectTcp(
  endpoint: HostEndpoint,
  signal: AbortSignal,
  only?: string,
): Promise<ByteStream> {
  const runtime = await currentRuntime();
  return await connectHost(
    endpoint,
    signal,
    async (address, source) => notToItself(await runtime.connectTcp(address, endpoint.port, signal, source)),
    only,
  );
}

/**
 * Tries each address of a host in turn.
 *
 * @param dial connects to one address, from `source` if there is one
 * @param only the only address to try
 * @throws the first address's error when no address could be reached
 */
export async function connectHost(
  endpoint: HostEndpoint,
  signal: AbortSignal,
  dial: (address: string, source: SourceAddress | undefined) => Promise<ByteStream>,
  only?: string,
): Promise<ByteStream> {
  if (endpoint.port === 0) throw new EndpointError("port 0 can be bound, not connected to");
  const source = endpoint.source && { ...endpoint.source, host: await localAddress(endpoint.source.host) };
  let failure: unknown;
  const addresses = only === undefined
    ? await resolve(endpoint.host === "*" ? "localhost" : endpoint.host)
    : [only];
  for (const address of addresses) {
    try {
      return await dial(address, source);
    } catch (error) {
      if (signal.aborted) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/** Listens on TCP. */
export async function listenTcp(
  endpoint: HostEndpoint,
  backlog: number,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  const runtime = await currentRuntime();
  return await listenHost(endpoint, (address, port) => runtime.listenTcp(address, port, backlog, accept));
}

/** Binds the local address that a host means (`*` is every interface of both families), and names the listener by its real port. */
export async function listenHost(
  endpoint: HostEndpoint,
  bind: (address: string, port: number) => Promise<RawListener>,
): Promise<Listener> {
  if (endpoint.source !== undefined) throw new EndpointError("a source address is for connecting");
  const { port, close } = endpoint.host === "*"
    ? await bindBoth(endpoint.port, bind)
    : await bind(await localAddress(endpoint.host), endpoint.port);
  return {
    endpoint: formatHostEndpoint({ ...endpoint, host: boundHost(endpoint.host), port }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Binds every interface: IPv6 and, where that is not included, IPv4; only IPv4 on a machine without IPv6. */
async function bindBoth(
  wanted: number,
  bind: (address: string, port: number) => Promise<RawListener>,
): Promise<RawListener> {
  let first: RawListener;
  try {
    first = await bind("::", wanted);
  } catch (error) {
    if (error instanceof AddressInUseError) throw error;
    return await bind("0.0.0.0", wanted);
  }
  const second = await bind("0.0.0.0", first.port).catch(() => undefined);
  if (second === undefined) return first;
  return { port: first.port, close: async () => void await Promise.all([first.close(), second.close()]) };
}

/** If no program listens on a port, dialing it can get that port as its own: TCP then connects the socket to itself. */
function notToItself(stream: ByteStream): ByteStream {
  if (stream.local !== stream.remote) return stream;
  stream.close();
  throw new UnreachableError("Connection refused: nothing is listening there");
}

/** The host in a bound endpoint: a host name stays, since peers may know it; the name of an interface does not. */
function boundHost(host: string): string {
  return host === "*" ? "0.0.0.0" : interfaceAddress(host) ?? host;
}
