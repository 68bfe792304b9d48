import type { HostEndpoint } from "../endpoint_types.ts";
import type { Transport } from "./row.ts";
import { formatHostEndpoint, parseHostEndpoint } from "./text.ts";

/** TCP. The code that opens sockets is loaded by the first connect or listen. */
export const tcp: Transport<HostEndpoint> = {
  schemes: ["tcp"],
  carries: ["bytes", "frames"],
  parse: parseHostEndpoint,
  format: formatHostEndpoint,
  async connect(endpoint, signal, { address }) {
    const { connectTcp } = await import("../host.ts");
    return await connectTcp(endpoint, signal, address);
  },
  async listen(endpoint, backlog, accept) {
    const { listenTcp } = await import("../host.ts");
    return await listenTcp(endpoint, backlog, accept);
  },
};
