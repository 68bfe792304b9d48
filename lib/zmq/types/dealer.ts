import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Dealing } from "../dealing.ts";
import { type ProbingOptions, sendProbe } from "../probe.ts";

/**
 * DEALER (RFC 28): deals messages out to REP, ROUTER and DEALER peers in turn, and receives what they send. What a lost
 * peer had not taken goes to the next one. A REP wants an empty frame before the body, and sends one back.
 *
 * @example Several requests under way at a time
 * ```ts
 * import { Dealer, Rep } from "../../../mod.ts";
 * const rep = new Rep();
 * const dealer = new Dealer();
 * dealer.connect(await rep.bind("tcp://127.0.0.1:0"));
 * await dealer.send(["", "first"]);
 * await dealer.send(["", "second"]);
 * (await rep.receive())?.reply("one");
 * const [, reply] = await dealer.receive() ?? [];
 * console.assert(new TextDecoder().decode(reply) === "one");
 * await Promise.all([dealer.close(), rep.close()]);
 * ```
 */
export class Dealer extends Dealing {
  readonly #probe: boolean;

  constructor(options: ProbingOptions = {}) {
    super("DEALER", options);
    this.#probe = options.probe ?? false;
  }

  protected override onAttach(connection: ZmtpConnection): void {
    if (this.#probe) sendProbe(connection);
    super.onAttach(connection);
  }
}
