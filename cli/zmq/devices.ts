/** The devices of `proxy`: two sockets of each pattern, and the forwarding between them. */
import type { Duplex } from "../../lib/zmq/duplex.ts";
import { forward, type Forwarding, type Inspector } from "../../lib/zmq/forward.ts";
import type { SocketOptions } from "../../lib/zmq/options.ts";
import { LastValues } from "../../lib/zmq/outgoing/last_values.ts";
import type { Receiver } from "../../lib/zmq/receiver.ts";
import type { Sender } from "../../lib/zmq/sender.ts";
import { Dealer } from "../../lib/zmq/types/dealer.ts";
import { Pull } from "../../lib/zmq/types/pull.ts";
import { Push } from "../../lib/zmq/types/push.ts";
import { Router } from "../../lib/zmq/types/router.ts";
import { XPub } from "../../lib/zmq/types/xpub.ts";
import { XSub } from "../../lib/zmq/types/xsub.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { beginsWith, utf8 } from "../../lib/zmtp/bytes.ts";
import type { Values } from "../app/command.ts";
import type { delivery, output, receiving, socket } from "../options/options.ts";
import { fanOutOptions } from "./socket.ts";

export const PATTERNS = ["pubsub", "pushpull", "reqrep"] as const;
export type Pattern = typeof PATTERNS[number];

/** The values of the options of `proxy`. */
export type ProxyOptions =
  & Values<typeof socket>
  & Values<typeof output>
  & Values<typeof receiving>
  & Pick<Values<typeof delivery>, "linger" | "hwm" | "onFull">
  & {
    readonly timeout: number | undefined;
    readonly lastValue: boolean | undefined;
    readonly separator: string | undefined;
    readonly tap: string | undefined;
    readonly where: string | undefined;
  };

/** Two sockets that forward messages to each other. */
export interface Device {
  readonly from: Receiver | Duplex;
  readonly to: Sender;
  readonly ways: readonly Forwarding[];
  /** The number of messages that a socket has dropped so far. */
  dropped(): number;
}

/** The inputs of a device. */
interface DeviceParts {
  readonly settings: SocketOptions & { readonly hwm: number | undefined };
  readonly options: ProxyOptions;
  readonly topics: readonly Uint8Array[];
  readonly inspector: Inspector;
  /** Whether messages without a subscriber are needed, for example by the tap. */
  readonly wantsAll: boolean;
}

export const DEVICES: Record<Pattern, (parts: DeviceParts) => Device> = {
  /** The forwarder (XSUB, XPUB). */
  pubsub({ settings, options, topics, inspector, wantsAll }) {
    const from = new XSub(settings);
    const cache = options.lastValue ? new LastValues(utf8(options.separator ?? " ")) : undefined;
    // Every late subscriber needs the last values, so every subscription must be seen.
    const verbose = cache === undefined ? undefined : "subscribe";
    const to = new XPub({ ...settings, ...fanOutOptions(options), verbose });
    const down = forward(from, to, {
      inspect(batch, peer) {
        inspector.inspect(batch, peer);
        cache?.note(batch);
      },
      get full() {
        return inspector.full ?? false;
      },
    });
    const dropped = () => to.dropped;
    if (cache !== undefined || wantsAll) {
      // The upstream subscriptions do not depend on the downstream subscribers.
      for (const topic of topics.length === 0 ? [utf8("")] : topics) from.subscribe(topic);
      to.consume((batch, peer) =>
        eachSubscription(batch, (topic, subscribe) => {
          if (subscribe && cache !== undefined) to.sendTo(peer, () => cache.matching(topic));
        })
      );
      return { from, to, ways: [down], dropped };
    }
    if (topics.length === 0) return { from, to, ways: [down, forward(to, from)], dropped };
    // A publisher must send the topics of both sides, and see a subscriber only when there is one.
    to.consume((batch) =>
      eachSubscription(batch, (wanted, subscribe) => {
        for (const topic of topics) {
          const both = beginsWith(wanted, topic) ? wanted : beginsWith(topic, wanted) ? topic : undefined;
          if (both === undefined) continue;
          if (subscribe) from.subscribe(both);
          else from.unsubscribe(both);
        }
      })
    );
    return { from, to, ways: [down], dropped };
  },

  /** The streamer (PULL, PUSH). */
  pushpull({ settings, inspector }) {
    const from = new Pull(settings);
    const to = new Push(settings);
    return { from, to, ways: [forward(from, to, inspector)], dropped: () => 0 };
  },

  /** The queue device (ROUTER, DEALER). */
  reqrep({ settings, inspector }) {
    const from = new Router(settings);
    const to = new Dealer(settings);
    const ways = [forward(from, to, inspector), forward(to, from, inspector)];
    return { from, to, ways, dropped: () => from.dropped };
  },
};

/** Calls `callback` for each subscription and unsubscription that an XPUB received. */
function eachSubscription(batch: Batch, callback: (topic: Uint8Array, subscribe: boolean) => void): void {
  for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
    const body = batch.frame(at);
    if (batch.flags[at] === 0 && (body[0] === 0 || body[0] === 1)) callback(body.subarray(1), body[0] === 1);
  }
}
