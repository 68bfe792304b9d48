import { Batch } from "../zmtp/batch.ts";
import type { Duplex } from "./duplex.ts";
import type { Peer } from "./peer.ts";
import type { Receiver } from "./receiver.ts";
import type { Sender } from "./sender.ts";

/**
 * An observer of the messages that `forward` moves.
 *
 * @example Count the forwarded messages
 * ```ts
 * import { type Inspector, forward, Pull, Push } from "@mqcat/mqcat";
 *
 * let count = 0;
 * const counter: Inspector = { inspect: (batch) => void (count += batch.messages) };
 * await using frontend = new Pull();
 * await using backend = new Push();
 * forward(frontend, backend, counter);
 * await using push = new Push();
 * await using pull = new Pull();
 * push.connect(await frontend.bind("tcp://127.0.0.1:0"));
 * pull.connect(await backend.bind("tcp://127.0.0.1:0"));
 * await push.send("work");
 * await pull.receive();
 * console.assert(count === 1);
 * ```
 */
export interface Inspector {
  /** Called with each batch before it is forwarded. It may remove messages from the batch, in place. */
  inspect(batch: Batch, from: Peer): void;
  /** Whether to pause the peers until `look` is called. */
  readonly full?: boolean;
}

/** One direction of a proxy; see {@link forward}. */
export interface Forwarding {
  /** The number of messages that were received and not yet queued at the other socket. */
  readonly held: number;
  /** Resumes the peers if the inspector is no longer full. */
  look(): void;
  /** Stops receiving. Messages that were received before are still forwarded. */
  stop(): void;
}

/**
 * Forwards all messages that one socket receives to another socket, in order: one direction of a proxy. While the other
 * socket has no room, the peers of the first socket are paused. Call it before the first peer connects. It runs until one
 * of the sockets is closed.
 *
 * @param from the socket that receives
 * @param to the socket that sends
 * @param inspector sees each batch first, and can filter it
 * @returns the state of the forwarding, with methods to stop and to resume it
 *
 * @example A queue between REQ and REP peers, in both directions
 * ```ts
 * import { Dealer, forward, Rep, Req, Router } from "@mqcat/mqcat";
 *
 * await using clients = new Router();
 * await using services = new Dealer();
 * forward(clients, services);
 * forward(services, clients);
 * await using req = new Req();
 * await using rep = new Rep();
 * req.connect(await clients.bind("tcp://127.0.0.1:0"));
 * rep.connect(await services.bind("tcp://127.0.0.1:0"));
 * const reply = req.request("ping");
 * (await rep.receive())?.reply("pong");
 * console.assert(new TextDecoder().decode((await reply)[0]) === "pong");
 * ```
 */
export function forward(from: Receiver | Duplex, to: Sender, inspector?: Inspector): Forwarding {
  /** Messages that the other socket had no room for, in order: at most the input before the peers were paused. */
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
