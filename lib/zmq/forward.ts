import { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import type { Duplex } from "./duplex.ts";
import type { Receiver } from "./receiver.ts";
import type { Sender } from "./sender.ts";

/** What looks at messages on their way. */
export interface Inspector {
  /** It may take some out of the batch, in place. */
  inspect(batch: Batch, from: ZmtpConnection): void;
  /** Whether no more should come until `look` is called. */
  readonly full?: boolean;
}

/** One direction of a device. */
export interface Forwarding {
  /** How many messages were received and have no place in the other socket yet. */
  readonly held: number;
  /** Goes on, if the inspector is no longer full. */
  look(): void;
  /** Receives no more; what is held still goes its way. */
  stop(): void;
}

/**
 * Hands everything that one socket receives to another one, in order: half of a proxy. Where the other one has no room,
 * the peers of the first are held back. Call it before the first peer comes; it goes on until either socket is closed.
 *
 * @example A queue between REQ and REP peers, in both directions
 * ```ts
 * import { Dealer, forward, Rep, Req, Router } from "../../mod.ts";
 * const [clients, services] = [new Router(), new Dealer()];
 * forward(clients, services);
 * forward(services, clients);
 * const [req, rep] = [new Req(), new Rep()];
 * req.connect(await clients.bind("tcp://127.0.0.1:0"));
 * rep.connect(await services.bind("tcp://127.0.0.1:0"));
 * const reply = req.request("ping");
 * (await rep.receive())?.reply("pong");
 * console.assert(new TextDecoder().decode((await reply)[0]) === "pong");
 * await Promise.all([req, rep, clients, services].map((socket) => socket.close()));
 * ```
 */
export function forward(from: Receiver | Duplex, to: Sender, inspector?: Inspector): Forwarding {
  /** What did not fit, in order: no more than what came before the peers were held back. */
  const held: { readonly batch: Batch; at: number }[] = [];
  let stopped = false;
  const look = () => {
    if (held.length === 0 && !stopped && !inspector?.full) from.resume();
  };
  const drain = async () => {
    while (held.length > 0 && !to.closed) {
      const first = held[0]!;
      first.at = to.sendBatch(first.batch, first.at);
      if (first.at === first.batch.frames) held.shift();
      else await to.writable();
    }
    look();
  };
  from.consume((batch, peer) => {
    inspector?.inspect(batch, peer);
    const at = held.length > 0 ? 0 : to.sendBatch(batch);
    if (at < batch.frames) held.push({ batch: batch.own(at), at: 0 });
    if (held.length > 0 || inspector?.full) from.pause();
    if (held.length === 1 && at < batch.frames) drain();
  });
  return {
    get held() {
      return held.reduce((sum, { batch, at }) => sum + batch.countMessages(at, batch.frames), 0);
    },
    look,
    stop() {
      stopped = true;
      from.pause();
    },
  };
}
