import { HandshakeTimeoutError, IncompatiblePeerError, LimitError } from "../../errors.ts";
import type { WebEndpoint } from "../endpoint_types.ts";
import type { ByteStream, TransportOptions, WebOptions } from "../stream.ts";
import { acceptUpgrade, upgrade } from "./upgrade.ts";

/** How long an accepted peer may take to ask for a WebSocket, in milliseconds. */
const HANDSHAKE_MS = 10_000;
/** How many may be about to. */
const MAX_HANDSHAKES = 1000;

/** A WebSocket on a stream that is connected; the stream is closed when it comes to nothing. */
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

/** Makes a WebSocket of each stream that a listener accepts. */
export function webAcceptor(
  endpoint: WebEndpoint,
  options: TransportOptions,
  accept: (stream: ByteStream) => void,
): (below: ByteStream) => void {
  const terms = { ...agreed(options.web), path: endpoint.path, origins: options.web?.origins ?? [] };
  let handshakes = 0;
  const refused = (below: ByteStream, error: Error) => {
    // Whoever was answered closes it.
    if (!(error instanceof IncompatiblePeerError)) below.close();
    options.onRefused?.(below.remote.replace(/^tcp:/, "ws:").replace(/^tls:/, "wss:"), error);
  };
  return async (below) => {
    if (handshakes >= MAX_HANDSHAKES) {
      return refused(
        below,
        new LimitError(`${MAX_HANDSHAKES} peers are about to ask for a WebSocket already`),
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

function agreed(web: WebOptions | undefined): { protocols: readonly string[]; maxMessage: number } {
  return { protocols: web?.protocols ?? ["ZWS2.0/NULL", "ZWS2.0"], maxMessage: web?.maxMessage ?? 2 ** 30 };
}

/** The port is left out where it is the usual one (RFC 9110, 7.2). */
function hostHeader({ scheme, host, port }: WebEndpoint): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === (scheme === "ws" ? 80 : 443) ? name : `${name}:${port}`;
}
