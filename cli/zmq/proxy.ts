import { Dealer } from "../../lib/zmq/types/dealer.ts";
import type { Duplex } from "../../lib/zmq/duplex.ts";
import { forward, type Forwarding, type Inspector } from "../../lib/zmq/forward.ts";
import { LastValues } from "../../lib/zmq/outgoing/last_values.ts";
import { Pub } from "../../lib/zmq/types/pub.ts";
import { Pull } from "../../lib/zmq/types/pull.ts";
import { Push } from "../../lib/zmq/types/push.ts";
import type { Receiver } from "../../lib/zmq/receiver.ts";
import { Router } from "../../lib/zmq/types/router.ts";
import type { Sender } from "../../lib/zmq/sender.ts";
import { TopicFilter } from "../../lib/zmq/incoming/topic_filter.ts";
import { XPub } from "../../lib/zmq/types/xpub.ts";
import { XSub } from "../../lib/zmq/types/xsub.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { beginsWith, utf8 } from "../../lib/zmtp/bytes.ts";
import type { Values } from "../app/command.ts";
import { attach, type Plan } from "../options/endpoints.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import { Output } from "../io/output.ts";
import type { delivery, output, receiving, socket } from "../options/options.ts";
import { Progress } from "../app/progress.ts";
import { whenFull } from "./publish.ts";
import { outputFailure, styleOf } from "./receive.ts";
import { recordWriter } from "../records/writer.ts";
import { DEFAULT_LINGER_MS, messages, tellDropped } from "./send.ts";
import type { Session } from "../app/session.ts";
import { socketOptions } from "../options/socket_options.ts";

export const PATTERNS = ["pubsub", "pushpull", "reqrep"] as const;
export type Pattern = typeof PATTERNS[number];

/** How long the tap may take to the end, in milliseconds. */
const TAP_LINGER_MS = 1000;

/** What the options of `proxy` say. */
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
  };

/** Where the sockets of a proxy bind and connect. */
export interface Plans {
  readonly from: Plan;
  readonly to: Plan;
  readonly tap: Plan | undefined;
}

/** Two sockets, with everything between them in place. */
interface Device {
  readonly from: Receiver | Duplex;
  readonly to: Sender;
  readonly ways: readonly Forwarding[];
  /** How many messages a socket dropped so far. */
  dropped(): number;
}

/** Forwards messages until a signal, or another reason to end, comes. */
export async function proxy(
  session: Session,
  pattern: Pattern,
  plans: Plans,
  topics: readonly Uint8Array[],
  options: ProxyOptions,
): Promise<void> {
  const { counts } = session;
  const tap = new Tap(session, options, plans.tap);
  const filter = topics.length === 0 ? undefined : new TopicFilter();
  for (const topic of topics) filter?.add(topic);
  const inspector: Inspector = {
    inspect(batch, peer) {
      filter?.apply(batch);
      counts.received += batch.messages;
      counts.bytes += batch.countBytes(0, batch.frames);
      if (batch.messages > 0) tap.take(batch, peer.remote);
    },
    get full() {
      return tap.full;
    },
  };
  const settings = { ...socketOptions(session, options), hwm: options.hwm };
  const device = DEVICES[pattern]({ settings, options, topics, inspector, wantsAll: tap.on });
  const { from, to, ways } = device;
  tap.onChange = () => {
    if (tap.failed) from.wake();
    for (const way of ways) way.look();
  };
  const progress = new Progress(session, () => counts.received, () => {
    return `forwarded, ${from.peers} to ${to.peers} peers, ${device.dropped()} dropped`;
  });
  try {
    // Who sends finds somebody who receives.
    const bound = await attach(session, to, plans.to);
    await tap.open();
    session.ready([...await attach(session, from, plans.from), ...bound]);
    await untilEnd(session, device, tap, options);
  } finally {
    progress.end();
    ways[0]!.stop();
    const linger = options.linger ?? DEFAULT_LINGER_MS;
    await settle(to, ways, linger);
    const held = ways.reduce((sum, way) => sum + way.held, 0);
    const replies = await from.close(pattern === "reqrep" ? linger : 0);
    const unsent = held + replies + await to.close(linger);
    await tap.close();
    counts.unsent = unsent;
    counts.sent = counts.received - held;
    if (unsent > 0) {
      session.reporter.error(`${messages(unsent)} could not be delivered`);
      session.exitCode ||= EXIT.undelivered;
    }
    tellDropped(session, device.dropped(), "peers that were gone or did not keep up");
  }
}

async function untilEnd(
  session: Session,
  { from, to }: Device,
  tap: Tap,
  options: ProxyOptions,
): Promise<void> {
  const { timeout, transient } = options;
  const { counts } = session;
  wakeAtFailure(to, from);
  let received = 0;
  let lastAt = performance.now();
  while (!session.stopping && !tap.failed && !(transient && from.abandoned)) {
    const failure = from.failure ?? to.failure;
    if (failure !== undefined) throw failure;
    if (counts.received !== received) [received, lastAt] = [counts.received, performance.now()];
    const left = timeout === undefined ? Infinity : lastAt + timeout - performance.now();
    if (left <= 0) throw new TimeoutError(`nothing came for ${timeout! / 1000} s (-w)`);
    await from.change(left);
  }
}

/** Lets who waits for one socket know that the other one has failed. */
async function wakeAtFailure(socket: Sender, waiting: Receiver | Duplex): Promise<void> {
  while (socket.failure === undefined && !socket.closed) await socket.change();
  waiting.wake();
}

/** Waits until what was received has its place in the other socket, for `linger` milliseconds at most. */
async function settle(to: Sender, ways: readonly Forwarding[], linger: number): Promise<void> {
  const deadline = performance.now() + linger;
  while (ways.some((way) => way.held > 0) && to.failure === undefined) {
    const left = deadline - performance.now();
    if (left <= 0) return;
    await to.writable(left);
  }
}

/** What a device is made of. */
interface Parts {
  readonly settings: ReturnType<typeof socketOptions> & { readonly hwm: number | undefined };
  readonly options: ProxyOptions;
  readonly topics: readonly Uint8Array[];
  readonly inspector: Inspector;
  /** Whether somebody wants messages for which there is no subscriber. */
  readonly wantsAll: boolean;
}

const DEVICES: Record<Pattern, (parts: Parts) => Device> = {
  /** The forwarder (XSUB, XPUB). */
  pubsub({ settings, options, topics, inspector, wantsAll }) {
    const from = new XSub(settings);
    const cache = options.lastValue ? new LastValues(utf8(options.separator ?? " ")) : undefined;
    // Late subscribers want the last values, and not only the first one for a topic.
    const verbose = cache === undefined ? undefined : "subscribe";
    const to = new XPub({ ...settings, ...whenFull(options), verbose });
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
      // What is wanted up there does not depend on who is down here.
      for (const topic of topics.length === 0 ? [utf8("")] : topics) from.subscribe(topic);
      to.consume((batch, peer) =>
        eachSubscription(batch, (topic, subscribe) => {
          if (subscribe && cache !== undefined) to.sendTo(peer, () => cache.matching(topic));
        })
      );
      return { from, to, ways: [down], dropped };
    }
    if (topics.length === 0) return { from, to, ways: [down, forward(to, from)], dropped };
    // A publisher is to send what both sides want, and to see a subscriber only when there is one.
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

/** Calls `tell` for each subscription among what an XPUB received, and each end of one. */
function eachSubscription(batch: Batch, tell: (topic: Uint8Array, subscribe: boolean) => void): void {
  for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
    const body = batch.frame(at);
    if (batch.flags[at] === 0 && (body[0] === 0 || body[0] === 1)) tell(body.subarray(1), body[0] === 1);
  }
}

/** A copy of the traffic, to stdout or to a PUB socket. */
class Tap {
  /** Whether there is one. */
  readonly on: boolean;
  /** Called when stdout has room again, or can take no more. */
  onChange: () => void = () => {};

  readonly #session: Session;
  readonly #plan: Plan | undefined;
  readonly #output: Output | undefined;
  readonly #writer: ReturnType<typeof recordWriter> | undefined;
  readonly #pub: Pub | undefined;

  constructor(session: Session, options: ProxyOptions, plan: Plan | undefined) {
    this.#session = session;
    this.#plan = plan;
    this.on = options.tap !== undefined;
    const separator = options.separator === undefined ? undefined : utf8(options.separator);
    const style = styleOf(session, options, true, separator);
    if (plan !== undefined) {
      // Who only looks on is never waited for.
      this.#pub = new Pub({ ...socketOptions(session, options), hwm: options.hwm });
    } else if (this.on) {
      this.#output = new Output(1);
      this.#writer = recordWriter(this.#output, style);
      this.#output.onChange = () => this.onChange();
    }
  }

  /** Whether stdout can take no more. */
  get failed(): boolean {
    return this.#output?.failure !== undefined;
  }

  async open(): Promise<void> {
    if (this.#pub !== undefined) await attach(this.#session, this.#pub, this.#plan!);
  }

  /** Whether what passes has to wait for the reader of stdout. */
  get full(): boolean {
    return this.#output?.full ?? false;
  }

  take(batch: Batch, endpoint: string): void {
    this.#pub?.sendBatch(batch);
    if (this.#output === undefined) return;
    this.#writer!.write(batch, 0, batch.frames, endpoint);
    this.#output.flush();
  }

  async close(): Promise<void> {
    if (this.#pub !== undefined) {
      const missed = await this.#pub.close(TAP_LINGER_MS) + this.#pub.dropped;
      if (missed > 0) this.#session.reporter.warn(`the tap missed ${messages(missed)}`);
    }
    if (this.#output === undefined) return;
    await this.#output.drained();
    const failure = outputFailure(this.#session, this.#output);
    if (failure !== undefined) throw failure;
  }
}
