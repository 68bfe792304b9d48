import { descriptorShortage } from "./descriptors.ts";
import { type Endpoint, toEndpoint } from "./endpoint.ts";
import { named } from "./failure.ts";
import { transportOf } from "./schemes/table.ts";
import type { ByteStream, ConnectOptions, Listener, TransportOptions } from "./stream.ts";
import { tapped } from "./tap.ts";

/** Default length of the queue of connections that wait to be accepted. */
const BACKLOG = 100;

const NEVER = new AbortController().signal;

/**
 * Connects a byte stream. Each call resolves a host name again and tries each of its addresses in turn.
 *
 * @param endpoint `tcp://127.0.0.1:5555`, for example; see `parseEndpoint`
 * @throws {UnreachableError} no program listens there
 * @throws {EndpointError} the endpoint is malformed, or it cannot be connected to
 *
 * @example A stream to a listener in this process
 * ```ts
 * import { connect, listen } from "../../mod.ts";
 * await using listener = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
 * const stream = await connect(listener.endpoint, { signal: AbortSignal.timeout(5000) });
 * console.assert(stream.remote === listener.endpoint);
 * stream.close();
 * ```
 */
export async function connect(
  endpoint: string | Endpoint,
  options: ConnectOptions = {},
): Promise<ByteStream> {
  const target = toEndpoint(endpoint);
  const signal = options.signal ?? NEVER;
  try {
    return tapped(await transportOf(target).connect(target, signal, options));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw named("connect to", target, error);
  }
}

/**
 * Binds an endpoint and passes each accepted stream to `accept`. When the process has almost no file descriptors left, new
 * streams are closed and reported to `options.onRefused`.
 *
 * @param endpoint `tcp://127.0.0.1:0`, for example; see `parseEndpoint`
 * @param accept called for each connection; it may not throw
 * @throws {AddressInUseError} another program is bound to the endpoint
 * @throws {EndpointError} the endpoint is malformed, or it cannot be bound
 *
 * @example A free port
 * ```ts
 * import { listen } from "../../mod.ts";
 * await using listener = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
 * console.log(listener.endpoint); // tcp://127.0.0.1:54321
 * ```
 */
export async function listen(
  endpoint: string | Endpoint,
  accept: (stream: ByteStream) => void,
  options: TransportOptions = {},
): Promise<Listener> {
  const target = toEndpoint(endpoint);
  const admit = (stream: ByteStream) => {
    const error = descriptorShortage();
    if (error === undefined) return accept(tapped(stream));
    stream.close();
    options.onRefused?.(stream.remote, error);
  };
  try {
    const system = target.scheme !== "inproc";
    return await transportOf(target).listen(
      target,
      options.backlog ?? BACKLOG,
      system ? admit : accept,
      options,
    );
  } catch (error) {
    throw named("bind", target, error);
  }
}
