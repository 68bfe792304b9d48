import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import { AddressInUseError, EndpointError, messageOf, UnreachableError } from "../errors.ts";
import { formatEndpoint, type HostEndpoint } from "../transport/endpoint.ts";
import { refused } from "../transport/runtime/shared.ts";

/** A socket that is bound to `endpoint`, and the address that the system gave it. */
export async function bindUdp(
  endpoint: HostEndpoint,
): Promise<{ socket: dgram.Socket; bound: HostEndpoint }> {
  try {
    const { address, type } = await resolve(endpoint.host === "*" ? "0.0.0.0" : endpoint.host);
    const socket = await opened(
      type,
      (socket, ready) => socket.bind({ port: endpoint.port, address }, ready),
    );
    return { socket, bound: { scheme: "udp", host: address, port: socket.address().port } };
  } catch (error) {
    throw named("bind", endpoint, error);
  }
}

/** A socket whose datagrams go to `endpoint`, and that endpoint with its host resolved. */
export async function aimUdp(
  endpoint: HostEndpoint,
): Promise<{ socket: dgram.Socket; remote: HostEndpoint }> {
  try {
    if (endpoint.port === 0) throw new EndpointError("port 0 can be bound, not connected to");
    const { address, type } = await resolve(endpoint.host === "*" ? "127.0.0.1" : endpoint.host);
    const socket = await opened(type, (socket, ready) => socket.connect(endpoint.port, address, ready));
    return { socket, remote: { scheme: "udp", host: address, port: endpoint.port } };
  } catch (error) {
    throw named("connect to", endpoint, error);
  }
}

function opened(
  type: dgram.SocketType,
  open: (socket: dgram.Socket, ready: () => void) => void,
): Promise<dgram.Socket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket(type);
    const fail = (error: Error) => {
      socket.close();
      reject(refused(error));
    };
    socket.once("error", fail);
    open(socket, () => {
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

async function resolve(host: string): Promise<{ address: string; type: dgram.SocketType }> {
  try {
    const { address, family } = await lookup(host, { order: "ipv4first" });
    return { address, type: family === 6 ? "udp6" : "udp4" };
  } catch (error) {
    throw new UnreachableError(`the host name '${host}' does not resolve`, { cause: error });
  }
}

/** Puts the endpoint's name before what went wrong with it. */
export function named(action: string, endpoint: HostEndpoint, error: unknown): Error {
  const reason = messageOf(error);
  const text = `Cannot ${action} ${formatEndpoint(endpoint)}: ${reason.charAt(0).toLowerCase()}${
    reason.slice(1)
  }`;
  if (error instanceof AddressInUseError) return new AddressInUseError(text, { cause: error });
  if (error instanceof EndpointError) return new EndpointError(text, { cause: error });
  return new UnreachableError(text, { cause: error });
}
