import type { HostEndpoint, WebEndpoint } from "../endpoint_types.ts";
import type { Transport } from "./row.ts";
import { tcp } from "./tcp.ts";
import { formatHost, mistake, parseHostAndPort } from "./text.ts";
import { tls } from "./tls.ts";

/** ZeroMQ over WebSocket (RFC 45), on TCP and on TLS. The code for it is loaded by the first connect or listen. */
export const ws: Transport<WebEndpoint> = {
  schemes: ["ws", "wss"],
  carries: ["frames"],
  parse: parseWeb,
  format: ({ scheme, host, port, path }) => `${scheme}://${formatHost(host)}:${port}${path}`,
  async connect(endpoint, signal, options) {
    const { connectWeb } = await import("../ws/mod.ts");
    const stream = await lowerOf(endpoint).connect(lowerEndpoint(endpoint), signal, options);
    return await connectWeb(stream, endpoint, options.web, signal);
  },
  async listen(endpoint, backlog, accept, options) {
    const { webAcceptor } = await import("../ws/mod.ts");
    const acceptWeb = webAcceptor(endpoint, options, accept);
    const lower = await lowerOf(endpoint).listen(lowerEndpoint(endpoint), backlog, acceptWeb, options);
    const bound = `${endpoint.scheme}${lower.endpoint.slice(lower.endpoint.indexOf(":"))}${endpoint.path}`;
    return { ...lower, endpoint: bound };
  },
};

function lowerOf({ scheme }: WebEndpoint): Transport<HostEndpoint> {
  return scheme === "ws" ? tcp : tls;
}

function lowerEndpoint({ scheme, host, port }: WebEndpoint): HostEndpoint {
  return { scheme: scheme === "ws" ? "tcp" : "tls", host, port };
}

/** Parses `host:port/path`; without a port it is that of HTTP or HTTPS, without a path `/`. */
function parseWeb(scheme: WebEndpoint["scheme"], address: string, text: string): WebEndpoint {
  const slash = address.indexOf("/");
  const authority = slash < 0 ? address : address.slice(0, slash);
  const path = slash < 0 ? "/" : address.slice(slash);
  if (!/^[\x21-\x7e]+$/.test(path)) {
    throw mistake(
      text,
      "the path has characters that need percent-encoding",
      `${scheme}://${authority}${encodeURI(path)}`,
    );
  }
  const hasPort = /:[^\]]*$/.test(authority);
  const usual = scheme === "ws" ? 80 : 443;
  if (authority === "") throw mistake(text, "the host is missing", `${scheme}://127.0.0.1:5555${path}`);
  return { scheme, ...parseHostAndPort(scheme, hasPort ? authority : `${authority}:${usual}`, text), path };
}
