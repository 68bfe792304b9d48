import type { LinkOptions } from "../../link/options.ts";
import type { Attempt, Protocol } from "../../link/protocol.ts";
import { StompConnection } from "./connection.ts";
import { isPermanent } from "./errors.ts";
import { logIn } from "./handshake.ts";
import { formatStomp, type StompServer } from "./url.ts";

const MAX_MESSAGE = 128 * 2 ** 20;

/** STOMP for a link. */
export const STOMP: Protocol<StompServer, StompConnection> = {
  format: formatStomp,
  isPermanent,
  async login(attempt: Attempt, address: StompServer, options: LinkOptions): Promise<StompConnection> {
    const stream = await attempt.dial();
    const login = await logIn(stream, address, attempt.remaining());
    return new StompConnection(stream, login, address, options.maxMessageSize ?? MAX_MESSAGE);
  },
};
