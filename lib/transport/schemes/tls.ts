import type { HostEndpoint } from "../endpoint_types.ts";
import type { Transport } from "./row.ts";
import { formatHostEndpoint, parseHostEndpoint } from "./text.ts";

/** TLS over TCP. The code for TLS is loaded by the first connect or listen. */
export const tls: Transport<HostEndpoint> = {
  schemes: ["tls"],
  carries: ["bytes"],
  parse: parseHostEndpoint,
  format: formatHostEndpoint,
  async connect(endpoint, signal, options) {
    const [{ connectHost }, { connectTls }] = await Promise.all([
      import("../host.ts"),
      import("../tls_socket.ts"),
    ]);
    const { host, port } = endpoint;
    return await connectHost(
      endpoint,
      signal,
      (address, source) => connectTls(address, port, host, options.tls ?? {}, signal, source),
      options.address,
    );
  },
  async listen(endpoint, backlog, accept, options) {
    const [{ listenHost }, { listenTls }] = await Promise.all([
      import("../host.ts"),
      import("../tls_socket.ts"),
    ]);
    return await listenHost(
      endpoint,
      (address, port) => listenTls(address, port, backlog, options.tls ?? {}, accept, options.onRefused),
    );
  },
};
