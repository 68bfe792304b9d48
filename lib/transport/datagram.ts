/**
 * The seam for datagrams: what a UDP socket is to everything above. Both runtimes have `node:dgram`, so there is one
 * implementation.
 */
import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import { EndpointError, UnreachableError } from "../errors.ts";
import { multicastInterface } from "./address.ts";
import { formatEndpoint, type HostEndpoint } from "./endpoint.ts";
import { named } from "./failure.ts";
import { Latch, refused } from "./runtime/shared.ts";

/** Where a datagram comes from or goes to. */
export interface DatagramAddress {
  readonly address: string;
  readonly port: number;
}

/** What a datagram socket tells its one consumer. None of the calls may throw. */
export interface DatagramSink {
  /** A datagram came; `bytes` are the consumer's to keep. */
  onDatagram(bytes: Uint8Array, from: DatagramAddress): void;
  /** The datagram lent to `send` was taken by the system, or could not be sent; the next one may follow. */
  onSent(error: Error | undefined): void;
  /** The system told of a failure that belongs to no datagram: that nobody listens at the other end (ICMP), say. */
  onError(error: Error): void;
}

/** A UDP socket. */
export interface DatagramSocket {
  /** Where it is bound, or aims at: with the real port, and the host resolved. */
  readonly endpoint: HostEndpoint;
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>;
  /** Directs what comes to `sink`. What came before is lost: call it in the task in which the socket was made. */
  attach(sink: DatagramSink): void;
  /**
   * Lends `bytes` until `onSent`. Only one datagram may be under way: two at once may overtake each other.
   *
   * @param to whom, at a bound socket; one that is aimed has its target
   */
  send(bytes: Uint8Array, to?: DatagramAddress): void;
  close(): void;
}

/**
 * A socket that takes the datagrams for an address or a multicast group (`udp://[interface;]group:port`). Several may
 * be bound to the same group and port.
 *
 * @throws {AddressInUseError} somebody else is bound to it
 * @throws {EndpointError} the address is not of this machine, or there is no such interface
 */
export async function bindDatagrams(endpoint: HostEndpoint): Promise<DatagramSocket> {
  try {
    const { address, family, group } = await resolve(endpoint, "0.0.0.0");
    const socket = await opened(family, group, (socket, ready) => {
      // Bound to the group's own address it hears nothing else: not other groups, and no datagrams to this machine.
      socket.bind({ port: endpoint.port, address }, ready);
    }, (socket) => {
      if (group) socket.addMembership(address, nic(endpoint, family));
    });
    return new UdpSocket(socket, { ...endpoint, host: address, port: socket.address().port });
  } catch (error) {
    throw named("bind", endpoint, error);
  }
}

/**
 * A socket whose datagrams go to an address or a multicast group (`udp://[interface;]group:port`). To a group they go
 * no farther than the local network, and to this machine too.
 *
 * @throws {UnreachableError} the host does not resolve
 * @throws {EndpointError} port 0, or there is no such interface
 */
export async function aimDatagrams(endpoint: HostEndpoint): Promise<DatagramSocket> {
  try {
    if (endpoint.port === 0) throw new EndpointError("port 0 can be bound, not connected to");
    const { address, family, group } = await resolve(endpoint, "127.0.0.1");
    const aimed = { ...endpoint, host: address };
    if (!group) {
      const connect = (socket: dgram.Socket, ready: () => void) =>
        socket.connect(endpoint.port, address, ready);
      return new UdpSocket(await opened(family, false, connect), aimed);
    }
    const any = family === 6 ? "::" : "0.0.0.0";
    const socket = await opened(
      family,
      false,
      (socket, ready) => socket.bind({ port: 0, address: any }, ready),
      (socket) => {
        const through = nic(endpoint, family);
        if (through !== undefined) socket.setMulticastInterface(through);
        socket.setMulticastTTL(1);
        socket.setMulticastLoopback(true);
      },
    );
    return new UdpSocket(socket, aimed, { address, port: endpoint.port });
  } catch (error) {
    throw named("connect to", endpoint, error);
  }
}

class UdpSocket implements DatagramSocket {
  readonly endpoint: HostEndpoint;
  readonly closed: Promise<void>;

  readonly #socket: dgram.Socket;
  readonly #target: DatagramAddress | undefined;
  readonly #closed = new Latch<void>();
  #sink: DatagramSink | undefined;

  /** @param target of every datagram, where the system does not know it */
  constructor(socket: dgram.Socket, endpoint: HostEndpoint, target?: DatagramAddress) {
    this.#socket = socket;
    this.endpoint = endpoint;
    this.#target = target;
    this.closed = this.#closed.promise;
    socket.on("message", (datagram, from) => this.#sink?.onDatagram(datagram, from));
    socket.on("error", (error) => this.#sink?.onError(named("reach", endpoint, refused(error))));
    socket.once("close", () => this.#closed.resolve());
  }

  attach(sink: DatagramSink): void {
    this.#sink = sink;
  }

  send(bytes: Uint8Array, to: DatagramAddress | undefined = this.#target): void {
    if (to === undefined) this.#socket.send(bytes, this.#sent);
    else this.#socket.send(bytes, to.port, to.address, this.#sent);
  }

  close(): void {
    if (this.#sink === CLOSED) return;
    this.#sink = CLOSED;
    this.#socket.close();
  }

  readonly #sent = (error: Error | null): void => {
    this.#sink?.onSent(error ? named("send to", this.endpoint, refused(error)) : undefined);
  };
}

/** A closed socket's sink. */
const CLOSED: DatagramSink = { onDatagram() {}, onSent() {}, onError() {} };

/** The endpoint of a datagram's sender. */
export function endpointOf({ address, port }: DatagramAddress): string {
  return formatEndpoint({ scheme: "udp", host: address, port });
}

function opened(
  family: 4 | 6,
  reuseAddr: boolean,
  open: (socket: dgram.Socket, ready: () => void) => void,
  set: (socket: dgram.Socket) => void = () => {},
): Promise<dgram.Socket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket({ type: `udp${family}`, reuseAddr });
    const fail = (error: unknown) => {
      socket.close();
      reject(error instanceof EndpointError ? error : refused(error));
    };
    socket.once("error", fail);
    open(socket, () => {
      try {
        set(socket);
      } catch (error) {
        return fail(error);
      }
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

async function resolve(
  { host, source }: HostEndpoint,
  any: string,
): Promise<{ address: string; family: 4 | 6; group: boolean }> {
  const found = await lookup(host === "*" ? any : host, { order: "ipv4first" }).catch((error) => {
    throw new UnreachableError(`the host name '${host}' does not resolve`, { cause: error });
  });
  const group = isMulticast(found.address);
  if (!group && source !== undefined) {
    throw new EndpointError(`'${host}' is no multicast group, and only those take an interface in front`);
  }
  return { address: found.address, family: found.family === 6 ? 6 : 4, group };
}

/** Groups are 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291, 2.7). */
function isMulticast(address: string): boolean {
  return /^(22[4-9]|23\d)\./.test(address) || /^ff/i.test(address);
}

function nic({ source }: HostEndpoint, family: 4 | 6): string | undefined {
  return source === undefined || source.host === "*" ? undefined : multicastInterface(source.host, family);
}
