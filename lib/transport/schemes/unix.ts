import type { PathEndpoint } from "../endpoint_types.ts";
import type { Cargo, Transport } from "./row.ts";
import { mistake } from "./text.ts";

/** `sun_path` holds 108 bytes, one of them the final NUL (unix(7)). */
const MAX_PATH_BYTES = 107;

/** Unix sockets under the name that libzmq gives them. */
export const ipc: Transport<PathEndpoint> = pathTransport("ipc", ["bytes", "frames"]);

/** Unix sockets under their own name. */
export const unix: Transport<PathEndpoint> = pathTransport("unix", ["bytes"]);

function pathTransport(scheme: PathEndpoint["scheme"], carries: readonly Cargo[]): Transport<PathEndpoint> {
  return {
    schemes: [scheme],
    carries,
    parse: parsePath,
    format: ({ path }) => `${scheme}://${path}`,
    async connect({ path }, signal) {
      const { connectPath } = await import("../unix_path.ts");
      return await connectPath(scheme, path, signal);
    },
    async listen({ path }, backlog, accept) {
      const { listenPath } = await import("../unix_path.ts");
      return await listenPath(scheme, path, backlog, accept);
    },
  };
}

function parsePath(scheme: PathEndpoint["scheme"], path: string, text: string): PathEndpoint {
  if (path === "" || path === "@") throw mistake(text, "the path is missing", `${scheme}:///tmp/feed`);
  if (path.includes("\0")) throw mistake(text, "the path has a NUL byte in it", `${scheme}:///tmp/feed`);
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > MAX_PATH_BYTES) {
    throw mistake(
      text,
      `the path has ${bytes} bytes and a Unix socket takes ${MAX_PATH_BYTES}`,
      `${scheme}:///tmp/feed`,
    );
  }
  return { scheme, path };
}
