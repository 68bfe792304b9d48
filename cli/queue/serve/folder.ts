/** A broker in a folder, and the socket there for other processes that use the same folder. */
import fs from "node:fs";
import path from "node:path";
import type { BrokerOptions } from "../../../lib/broker/options.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { EndpointError, MqcatError } from "../../../lib/errors.ts";
import { type Endpoint, parseEndpoint } from "../../../lib/transport/endpoint.ts";
import { phrase } from "../../app/reporter.ts";

/** The name of the socket in a data folder. */
const SOCKET = "socket";

/** Opens a broker in a folder. @throws {Error} it names the folder and its purpose, which the system's errors do not */
export async function openInFolder(data: string | undefined, options: BrokerOptions): Promise<Broker> {
  try {
    return await Broker.open({ ...options, data });
  } catch (error) {
    if (data === undefined || error instanceof MqcatError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const what = code === "EEXIST" || code === "ENOTDIR" ? "it is not a directory" : phrase(error);
    throw new Error(`Cannot keep messages in '${data}': ${what} (--data names a directory)`, {
      cause: error,
    });
  }
}

/** Accepts other processes that use the same folder. */
export async function listenInside(broker: Broker, folder: string): Promise<void> {
  if (socketOf(folder) === undefined) return;
  try {
    const socket = path.join(folder, SOCKET);
    await broker.listen(`ipc://${socket}`, true);
    // Clients of this socket have all permissions.
    fs.chmodSync(socket, 0o600);
  } catch {
    // The file system has no sockets: other processes report which process has the folder.
  }
}

/** The socket in a folder of the process that has it open; undefined: the path is too long for a socket. */
export function socketOf(folder: string): Endpoint | undefined {
  try {
    return parseEndpoint(`ipc://${path.join(folder, SOCKET)}`);
  } catch (error) {
    if (error instanceof EndpointError) return undefined;
    throw error;
  }
}
