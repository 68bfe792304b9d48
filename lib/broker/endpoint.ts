import { EndpointError } from "../errors.ts";
import { type Endpoint, parseEndpoint } from "../transport/endpoint.ts";
import type { Protocol, ProtocolScheme } from "./protocol.ts";

/** The port of WebSockets that have none: that of RabbitMQ's Web MQTT plug-in. */
const WEB_PORT = 15675;

/** An address where a broker listens, and its protocol. */
export interface ListenEndpoint {
  /** Undefined for WebSockets: their subprotocol says which one it is. */
  readonly protocol: Protocol | undefined;
  /** Endpoints for the same address; all but the first may be unavailable on a machine. */
  readonly endpoints: readonly [Endpoint, ...Endpoint[]];
}

/**
 * Parses an endpoint to listen on: `amqp://host:port`, `amqps://host:port` or another scheme of `protocols`,
 * `ws://host:port/path`, `wss://…`, `inproc://name`, `ipc://path`; `:port` and `host:port` are short for the first
 * protocol. Without a host it is the loopback interface, with both families of addresses; `*` is every interface.
 *
 * @throws {EndpointError} the text is not an endpoint
 */
export function parseListen(text: string, protocols: readonly [Protocol, ...Protocol[]]): ListenEndpoint {
  if (/^\d+$/.test(text)) {
    throw new EndpointError(`Cannot listen on '${text}': it has no host (try :${text})`);
  }
  const [, scheme, rest] = /^(?:([a-z]+):\/\/)?(.*)$/is.exec(text)!;
  const first = protocols[0];
  if (scheme === "inproc" || scheme === "ipc") return { protocol: first, endpoints: [parseEndpoint(text)] };
  if (scheme === "ws" || scheme === "wss") {
    const [, authority, path] = /^([^/]*)(.*)$/.exec(rest!)!;
    const row: ProtocolScheme = { scheme, port: WEB_PORT, transport: scheme === "ws" ? "tcp" : "tls" };
    const [first, ...others] = parseAddress(text, authority!, row);
    const web = (endpoint: Endpoint): Endpoint =>
      ({ ...endpoint, scheme, path: path === "" ? "/" : path }) as Endpoint;
    return { protocol: undefined, endpoints: [web(first), ...others.map(web)] };
  }
  const protocol = scheme === undefined
    ? first
    : protocols.find(({ schemes }) => schemes.some((one) => one.scheme === scheme));
  const row = protocol?.schemes.find((one) => one.scheme === scheme) ?? protocol?.schemes[0];
  if (protocol === undefined || row === undefined) {
    throw mistake(text, `a broker does not listen on '${scheme}'`);
  }
  return { protocol, endpoints: parseAddress(text, rest!, row) };
}

/** Formats the endpoint of a listener as clients write it. */
export function formatListen(bound: string, protocol: Protocol | undefined): string {
  const row = protocol?.schemes.find(({ transport }) => bound.startsWith(`${transport}:`));
  return row === undefined ? bound : bound.replace(row.transport, row.scheme);
}

/** Whether the other end of a stream is on this machine, by its name. */
export function isLocalPeer(remote: string): boolean {
  return !/^(tcp|tls|wss?):\/\//.test(remote) || /^(tcp|tls|wss?):\/\/(127\.|\[::1\])/.test(remote);
}

function parseAddress(
  text: string,
  rest: string,
  { port: defaultPort, transport }: ProtocolScheme,
): [Endpoint, ...Endpoint[]] {
  const address = rest.replace(/\/$/, "");
  if (/[/?@]/.test(address)) {
    throw mistake(text, "users and virtual hosts are not part of where it listens");
  }
  const hasPort = /:(\d+|\*)$/.test(address) && !/^[^[]*:[^[]*:/.test(address);
  const parsed = parseEndpoint(`tcp://${hasPort ? address : `${address}:${defaultPort}`}`);
  if (!("host" in parsed)) throw mistake(text, "the host is missing");
  const at = (host: string): Endpoint => ({ scheme: transport, host, port: parsed.port });
  if (address.startsWith(":") || address === "" || parsed.host === "localhost") {
    return [at("127.0.0.1"), at("::1")];
  }
  if (parsed.host === "*") return [at("0.0.0.0"), at("::")];
  return [at(parsed.host)];
}

function mistake(text: string, what: string): EndpointError {
  return new EndpointError(
    `Cannot listen on '${text}': ${what} (try amqp://127.0.0.1:5672, or amqp://*:5672 for every interface)`,
  );
}
