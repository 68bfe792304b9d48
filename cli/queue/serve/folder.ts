/** A broker in a folder, and the socket there for other processes that use the same folder. */
import fs from "node:fs";
import path from "node:path";
import type { BrokerOptions } from "../../../lib/broker/options.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { EndpointError, messageOf, MqcatError } from "../../../lib/errors.ts";
import { type Endpoint, parseEndpoint } from "../../../lib/transport/endpoint.ts";

/** The name of the socket in a data folder. */
const SOCKET = "socket";

/** Opens a broker in a folder. @throws {Error} the folder cannot be used; the message names the folder and its purpose */
export async function openInFolder(data: string | undefined, options: BrokerOptions): Promise<Broker> {
  try {
    return await Broker.open({ ...options, data });
  } catch (error) {
    if (data === undefined || error instanceof MqcatError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const what = code === "EEXIST" || code === "ENOTDIR" ? "it is not a directory" : messageOf(error);
    throw new Error(`Cannot keep messages in '${data}': ${what} (--data names a directory)`, {
      cause: error,
    });
  }
}

/** Listens on the socket in the folder, for other processes that use the same folder. */
export async function listenInside(broker: Broker, folder: string): Promise<void> {
  if (socketOf(folder) === undefined) return;
  try {
    const socket = path.join(folder, SOCKET);
    await broker.listen(`ipc://${socket}`, true);
    // Connections through it have all permissions.
    fs.chmodSync(socket, 0o600);
  } catch {
    // The file system has no sockets: other processes report that the folder is in use.
  }
}

/** The socket of the process that has a folder open; undefined: the path is too long for a socket. */
export function socketOf(folder: string): Endpoint | undefined {
  try {
    return parseEndpoint(`ipc://${path.join(folder, SOCKET)}`);
  } catch (error) {
    if (error instanceof EndpointError) return undefined;
    throw error;
  }
}
