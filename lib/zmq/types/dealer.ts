import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { RoundRobinSocket } from "../round_robin_socket.ts";
import { type ProbingOptions, sendProbe } from "../connections/router_probe.ts";

/**
 * DEALER (RFC 28): distributes messages to REP, ROUTER and DEALER peers in turn, and receives their messages. Messages
 * left unsent by a disconnected peer are redistributed. A REP peer expects an empty frame before the body, and puts one
 * before its reply.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Send several requests before the first reply
 * ```ts
 * import { Dealer, Rep } from "@mqcat/mqcat";
 *
 * await using rep = new Rep();
 * await using dealer = new Dealer();
 * dealer.connect(await rep.bind("tcp://127.0.0.1:0"));
 * await dealer.send(["", "first"]);
 * await dealer.send(["", "second"]);
 * (await rep.receive())?.reply("one");
 * const [, reply] = await dealer.receive() ?? [];
 * console.assert(new TextDecoder().decode(reply) === "one");
 * ```
 */
export class Dealer extends RoundRobinSocket {
  readonly #probe: boolean;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: ProbingOptions = {}) {
    super("DEALER", options);
    this.#probe = options.probe ?? false;
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    if (this.#probe) sendProbe(connection);
    super.onAttach(connection);
  }
}
