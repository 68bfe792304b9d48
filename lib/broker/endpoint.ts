import { EndpointError } from "../errors.ts";
import { type Endpoint, parseEndpoint } from "../transport/endpoint.ts";

const PORTS = { amqp: 5672, amqps: 5671 } as const;

/**
 * Parses where a broker listens: `amqp://host:port`, `amqps://host:port`, `inproc://name`, `ipc://path`; `:port` and
 * `host:port` are short for amqp. Without a host it is loopback, on both families; `*` is every interface.
 *
 * @returns endpoints that stand for the same place; those behind the first may be missing on a machine
 * @throws {EndpointError} which names the text and the remedy
 */
export function parseListen(text: string): readonly Endpoint[] {
  const [, scheme, rest] = /^(?:([a-z]+):\/\/)?(.*)$/is.exec(text)!;
  if (scheme === "inproc" || scheme === "ipc") return [parseEndpoint(text)];
  if (scheme !== undefined && scheme !== "amqp" && scheme !== "amqps") {
    throw mistake(text, `a broker does not listen on '${scheme}'`);
  }
  if (/[/?@]/.test(rest!.replace(/\/$/, ""))) {
    throw mistake(text, "users and virtual hosts are not part of where it listens");
  }
  const address = rest!.replace(/\/$/, "");
  const hasPort = /:(\d+|\*)$/.test(address) && !/^[^[]*:[^[]*:/.test(address);
  const port = PORTS[scheme ?? "amqp"];
  const parsed = parseEndpoint(`tcp://${hasPort ? address : `${address}:${port}`}`);
  if (!("host" in parsed)) throw mistake(text, "it has no host");
  const at = (host: string): Endpoint => ({
    scheme: scheme === "amqps" ? "tls" : "tcp",
    host,
    port: parsed.port,
  });
  if (address.startsWith(":") || address === "" || parsed.host === "localhost") {
    return [at("127.0.0.1"), at("::1")];
  }
  if (parsed.host === "*") return [at("0.0.0.0"), at("::")];
  return [at(parsed.host)];
}

/** The endpoint as clients write it. */
export function formatListen(bound: string): string {
  return bound.replace(/^tcp:/, "amqp:").replace(/^tls:/, "amqps:");
}

/** Whether the other end of a stream is on this machine, by its name. */
export function isLocalPeer(remote: string): boolean {
  return !/^t(cp|ls):\/\//.test(remote) || /^t(cp|ls):\/\/(127\.|\[::1\])/.test(remote);
}

function mistake(text: string, what: string): EndpointError {
  return new EndpointError(
    `Cannot listen on '${text}': ${what} (try amqp://127.0.0.1:5672, or amqp://*:5672 for every interface)`,
  );
}
