import type { SocketOptions } from "../options.ts";
import { Receiver } from "../receiver.ts";

/**
 * PULL (RFC 30): receives messages from PUSH peers.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `receive`,
 * `consume` and `for await` from {@link Receiver}.
 *
 * @example Receive until the socket is closed
 * ```ts
 * import { Pull, Push } from "@mqcat/mqcat";
 *
 * await using pull = new Pull();
 * const endpoint = await pull.bind("tcp://127.0.0.1:0");
 * await using push = new Push();
 * push.connect(endpoint);
 * await push.send("work");
 * for await (const [frame] of pull) {
 *   console.assert(new TextDecoder().decode(frame) === "work");
 *   await pull.close();
 * }
 * ```
 */
export class Pull extends Receiver {
  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("PULL", options);
  }
}
