import { encodeCommand } from "../frame_encoder.ts";
import { defineMechanism, type HandshakeIo, type Mechanism, type MechanismResult } from "./mechanism.ts";
import { authenticate, type ZapOptions } from "./zap.ts";

/**
 * NULL (RFC 37, 3.2): no authentication and no encryption. This is the default of every socket.
 *
 * @param options a handler that accepts or refuses peers by their address. Default: every peer is accepted
 * @returns the mechanism, for the option `security` of a socket
 *
 * @example Accept peers of this machine only
 * ```ts
 * import { nullMechanism, Pull, Push } from "../../../mod.ts";
 * const security = nullMechanism({
 *   handler: ({ address }) => ({ status: address === "127.0.0.1" ? 200 : 400 }),
 * });
 * const pull = new Pull({ security });
 * const push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("hello");
 * console.assert((await pull.receive())?.length === 1);
 * await Promise.all([push.close(), pull.close()]);
 * ```
 */
export function nullMechanism(options?: ZapOptions): Mechanism {
  return defineMechanism("NULL", false, {
    optional: options === undefined,
    credentials: "our address",
    exchange: (io) => exchange(io, options),
  });
}

async function exchange(io: HandshakeIo, options: ZapOptions | undefined): Promise<MechanismResult> {
  const userId = options === undefined ? "" : await authenticate(io, "NULL", options, []);
  const ready = encodeCommand("READY", io.metadata);
  // A libzmq peer that rejects our socket type closes the connection, often before it has sent its own type. The side
  // that dialed would then reconnect forever. So it waits for the peer's READY before it sends its own. If the peer
  // waits, too, this costs one second.
  const heard = io.dialed && await io.peerSpeaksFirst();
  if (!heard) await io.send(ready);
  await io.admit(await io.take("READY"));
  if (heard) await io.send(ready);
  return { userId };
}
