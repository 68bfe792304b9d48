import type { Endpoint } from "../endpoint_types.ts";
import type { ByteStream, ConnectOptions, Listener, TransportOptions } from "../stream.ts";

/**
 * What a transport can carry: any bytes, ZeroMQ's frames, or datagrams. A scheme that carries frames but not bytes makes
 * a `FrameStream`.
 */
export type Cargo = "bytes" | "frames" | "datagrams";

/** One row of the table of transports: all that the rest of the program knows about a transport. */
export interface Transport<E extends Endpoint = Endpoint> {
  /** The schemes that name this transport in an endpoint. */
  readonly schemes: readonly E["scheme"][];
  /** What the transport carries; this decides who may use it. */
  readonly carries: readonly Cargo[];
  /**
   * Parses the part of an endpoint after `scheme://`.
   *
   * @param text the whole endpoint, for the error
   * @throws {EndpointError} the address is malformed
   */
  parse(scheme: E["scheme"], address: string, text: string): E;
  /** Formats an endpoint in its long form. */
  format(endpoint: E): string;
  /** Connects a stream. An error does not name the endpoint; the caller adds that. */
  connect(endpoint: E, signal: AbortSignal, options: ConnectOptions): Promise<ByteStream>;
  /**
   * Binds an endpoint. An error does not name the endpoint; the caller adds that.
   *
   * @param backlog the length of the queue of connections that wait to be accepted
   */
  listen(
    endpoint: E,
    backlog: number,
    accept: (stream: ByteStream) => void,
    options: TransportOptions,
  ): Promise<Listener>;
}
