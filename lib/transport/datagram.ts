/**
 * Sockets for UDP: the interface that the rest of the program uses, and its one implementation, as both runtimes have
 * `node:dgram`.
 */
import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import { EndpointError, UnreachableError } from "../errors.ts";
import { multicastInterface } from "./address.ts";
import { formatEndpoint, type HostEndpoint } from "./endpoint.ts";
import { named } from "./failure.ts";
import { Latch, refused } from "./runtime/shared.ts";

/** The source or the destination of a datagram. */
export interface DatagramAddress {
  readonly address: string;
  readonly port: number;
}

/** Receives the events of a datagram socket. None of the calls may throw. */
export interface DatagramSink {
  /** A datagram arrived; the sink may keep `bytes`. */
  onDatagram(bytes: Uint8Array, from: DatagramAddress): void;
  /** The system has taken the datagram lent to `send`, or could not send it; the next one may follow. */
  onSent(error: Error | undefined): void;
  /** The system reported an error that belongs to no datagram: for example, that no program listens there (ICMP). */
  onError(error: Error): void;
}

/** A UDP socket. */
export interface DatagramSocket {
  /** The bound or the target address, with the real port and the host resolved. */
  readonly endpoint: HostEndpoint;
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>;
  /** Sends the events to `sink`. Earlier datagrams are lost, so call it in the task that made the socket. */
  attach(sink: DatagramSink): void;
  /**
   * Lends `bytes` until `onSent`. Only one datagram may be in progress: two at once may overtake each other.
   *
   * @param to the destination, for a bound socket; an aimed socket has its target
   */
  send(bytes: Uint8Array, to?: DatagramAddress): void;
  /** Closes the socket. Further calls do nothing. */
  close(): void;
}

/**
 * Binds a socket that receives the datagrams for an address or a multicast group (`udp://[interface;]group:port`).
 * Several sockets may be bound to the same group and port.
 *
 * @throws {AddressInUseError} another program is bound to the address
 * @throws {EndpointError} the address does not belong to this machine, or there is no such interface
 */
export async function bindDatagrams(endpoint: HostEndpoint): Promise<DatagramSocket> {
  try {
    const { address, family, group } = await resolve(endpoint, "0.0.0.0");
    const socket = await opened(family, group, (socket, ready) => {
      // A socket that is bound to the group's own address receives no datagrams for other groups or for this machine.
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
 * Makes a socket whose datagrams go to an address or a multicast group (`udp://[interface;]group:port`). Datagrams for a
 * group do not leave the local network; this machine receives them, too.
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
      const connect = (socket: dgram.Socket, ready: Ready) => socket.connect(endpoint.port, address, ready);
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

  /** @param target the destination of every datagram, unless the socket is connected to it */
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

/** The sink of a closed socket. */
const CLOSED: DatagramSink = { onDatagram() {}, onSent() {}, onError() {} };

/** Formats the address of a sender as an endpoint. */
export function endpointOf({ address, port }: DatagramAddress): string {
  return formatEndpoint({ scheme: "udp", host: address, port });
}

/** Called when a socket is bound or connected; with the error if it cannot be connected. */
type Ready = (error?: Error) => void;

function opened(
  family: 4 | 6,
  reuseAddr: boolean,
  open: (socket: dgram.Socket, ready: Ready) => void,
  set: (socket: dgram.Socket) => void = () => {},
): Promise<dgram.Socket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket({ type: `udp${family}`, reuseAddr });
    const fail = (error: unknown) => {
      socket.close();
      reject(error instanceof EndpointError ? error : refused(error));
    };
    socket.once("error", fail);
    open(socket, (error) => {
      if (error) return fail(error);
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
    throw new EndpointError(
      `'${host}' is not a multicast group, and only a group takes an interface before it`,
    );
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
