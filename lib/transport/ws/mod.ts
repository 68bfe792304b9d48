import { HandshakeTimeoutError, IncompatiblePeerError, LimitError } from "../../errors.ts";
import type { WebEndpoint } from "../endpoint_types.ts";
import type { ByteStream, TransportOptions, WebOptions } from "../stream.ts";
import { acceptUpgrade, upgrade, type UpgradeOptions } from "./upgrade.ts";

/** Time limit for the opening handshake of an accepted peer, in milliseconds. */
const HANDSHAKE_MS = 10_000;
/** Limit of simultaneous opening handshakes. */
const MAX_HANDSHAKES = 1000;

/** Makes a WebSocket on a connected stream; closes the stream when that fails. */
export async function connectWeb(
  below: ByteStream,
  endpoint: WebEndpoint,
  web: WebOptions | undefined,
  signal: AbortSignal,
): Promise<ByteStream> {
  try {
    return await upgrade(below, hostHeader(endpoint), endpoint.path, agreed(web), signal);
  } catch (error) {
    below.close();
    throw error;
  }
}

/** Returns an accept function that makes a WebSocket of each accepted stream. */
export function webAcceptor(
  endpoint: WebEndpoint,
  options: TransportOptions,
  accept: (stream: ByteStream) => void,
): (below: ByteStream) => void {
  const terms = { ...agreed(options.web), path: endpoint.path, origins: options.web?.origins ?? [] };
  let handshakes = 0;
  const refused = (below: ByteStream, error: Error) => {
    // After an answer, the stream closes when the peer has read it.
    if (!(error instanceof IncompatiblePeerError)) below.close();
    options.onRefused?.(below.remote.replace(/^tcp:/, "ws:").replace(/^tls:/, "wss:"), error);
  };
  return async (below) => {
    if (handshakes >= MAX_HANDSHAKES) {
      return refused(
        below,
        new LimitError(`${MAX_HANDSHAKES} peers are already in the opening handshake of a WebSocket`),
      );
    }
    handshakes++;
    try {
      accept(await acceptUpgrade(below, terms, AbortSignal.timeout(HANDSHAKE_MS)));
    } catch (error) {
      refused(below, error instanceof DOMException ? late() : error as Error);
    } finally {
      handshakes--;
    }
  };
}

function late(): Error {
  return new HandshakeTimeoutError(`The peer did not ask for a WebSocket within ${HANDSHAKE_MS / 1000} s`);
}

function agreed(web: WebOptions | undefined): UpgradeOptions {
  return {
    protocols: web?.protocols ?? ["ZWS2.0/NULL", "ZWS2.0"],
    maxMessage: web?.maxMessage ?? 2 ** 30,
    bytes: web?.carries === "bytes",
  };
}

/** The Host header leaves out the default port (RFC 9110, 7.2). */
function hostHeader({ scheme, host, port }: WebEndpoint): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === (scheme === "ws" ? 80 : 443) ? name : `${name}:${port}`;
}
