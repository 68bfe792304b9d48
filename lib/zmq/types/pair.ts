import { UnreachableError } from "../../errors.ts";
import { RoundRobinSocket } from "../round_robin_socket.ts";
import type { SocketOptions } from "../options.ts";

/**
 * PAIR (RFC 31): sends to and receives from one PAIR peer. It refuses further peers while it has one.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Two sockets of one process
 * ```ts
 * import { Pair } from "@mqcat/mqcat";
 *
 * await using left = new Pair();
 * await using right = new Pair();
 * right.connect(await left.bind("inproc://pair"));
 * await left.send("ping");
 * const [frame] = await right.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "ping");
 * ```
 */
export class Pair extends RoundRobinSocket {
  /**
   * The other socket has a peer, which may leave.
   *
   * @ignore
   */
  protected override readonly retriesRefusal = true;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("PAIR", options);
  }

  /**
   * Refuses a second peer. It may retry, and is admitted when the first peer has disconnected.
   *
   * @ignore
   */
  protected override admit(): Error | undefined {
    return this.connections.size === 0
      ? undefined
      : new UnreachableError("A PAIR socket talks to one peer, and this one already has a peer");
  }
}
