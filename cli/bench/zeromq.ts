/** The benchmarks of ZeroMQ sockets: push-pull and pub-sub in one direction, req-rep as round trips. */
import { formatEndpoint, parseEndpoint } from "../../lib/transport/endpoint.ts";
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Socket } from "../../lib/zmq/socket.ts";
import { Pub } from "../../lib/zmq/types/pub.ts";
import { Pull } from "../../lib/zmq/types/pull.ts";
import { Push } from "../../lib/zmq/types/push.ts";
import { Rep } from "../../lib/zmq/types/rep.ts";
import { Req } from "../../lib/zmq/types/req.ts";
import { Sub } from "../../lib/zmq/types/sub.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import type { EndpointPlan } from "../options/endpoints.ts";
import { attach, waitForPeers } from "../zmq/socket.ts";
import { generate, type Sink } from "./generator.ts";
import { Meter, STAMP_BYTES, Stamps } from "./meter.ts";
import { request } from "./round_trips.ts";
import { Schedule } from "./schedule.ts";
import {
  awaitMessages,
  type Benchmark,
  type Outcome,
  type Progressing,
  type Spec,
  STALL_MS,
} from "./spec.ts";

/** What a ZeroMQ benchmark needs beyond the load. Times are in milliseconds. */
export interface ZeroMqSpec extends Spec {
  readonly benchmark: Exclude<Benchmark, "queue">;
  /** One endpoint. With both sides in this process, one side binds it and the other one connects to it. */
  readonly plan: EndpointPlan;
  readonly waitPeers: number | undefined;
  readonly linger: number;
  readonly binding: SocketOptions;
  readonly connecting: SocketOptions;
}

/** The longest wait for room, after which the end of the schedule is checked again, in milliseconds. */
const ROOM_MS = 100;

/** How long the last replies are waited for after the end of the duration, in milliseconds. */
const GRACE_MS = 1000;

/** How long the last reply is waited for after a signal, in milliseconds. */
const LAST_REPLY_MS = 200;

/** The side that binds by default, as in the commands. */
export const BINDERS = { "push-pull": "receive", "pub-sub": "send", "req-rep": "receive" } as const;

type SendSocket = Push | Pub | Req;
type ReceiveSocket = Pull | Sub | Rep;

const SENDERS = {
  "push-pull": (options: SocketOptions): SendSocket => new Push(options),
  "pub-sub": (options: SocketOptions): SendSocket => new Pub({ ...options, onFull: "block" }),
  "req-rep": (options: SocketOptions): SendSocket => new Req(options),
};

const RECEIVERS = {
  "push-pull": (options: SocketOptions): ReceiveSocket => new Pull(options),
  "pub-sub": (options: SocketOptions): ReceiveSocket => {
    const sub = new Sub(options);
    sub.subscribe("");
    return sub;
  },
  "req-rep": (options: SocketOptions): ReceiveSocket => new Rep(options),
};

/** Runs a benchmark until its limits or a signal end it. */
export async function benchZeroMq(
  session: Session,
  spec: ZeroMqSpec,
  progress: Progressing,
): Promise<Outcome> {
  const { benchmark, role, plan, clients } = spec;
  const binder = role === "both"
    ? BINDERS[benchmark]
    : plan.bind.length > 0
    ? role
    : role === "send"
    ? "receive"
    : "send";
  const open = <T>(side: "send" | "receive", make: (options: SocketOptions) => T): T[] => {
    if (role !== "both" && role !== side) return [];
    if (side === binder) return [make(spec.binding)];
    return Array.from({ length: clients }, () => make(spec.connecting));
  };
  const senders = open("send", SENDERS[benchmark]);
  const receivers = open("receive", RECEIVERS[benchmark]);
  const sockets: Socket[] = [...senders, ...receivers];
  const received = new Meter();
  for (const receiver of receivers) serve(receiver, received, role === "both");
  try {
    const endpoint = await attachAll(session, spec, binder === "send" ? senders : receivers, sockets);
    if (senders.length === 0) return await receive(session, spec, sockets, received, endpoint, progress);
    await waitForAll(session, spec, senders, receivers.length);
    return benchmark === "req-rep"
      ? await roundTrips(session, spec, senders as Req[], endpoint, progress)
      : await send(session, spec, senders as (Push | Pub)[], receivers, received, endpoint, progress);
  } finally {
    await Promise.all(sockets.map((socket) => socket.close()));
  }
}

/** Binds one side and connects the other one; returns the endpoint. */
async function attachAll(
  session: Session,
  { role, plan }: ZeroMqSpec,
  binding: readonly Socket[],
  all: readonly Socket[],
): Promise<string> {
  const [given] = [...plan.bind, ...plan.connect];
  if (role !== "both") {
    const bound = await Promise.all(all.map((socket) => attach(session, socket, plan)));
    const endpoints = plan.bind.length > 0 ? bound[0]! : [formatEndpoint(given!)];
    session.ready(endpoints);
    return endpoints[0]!;
  }
  const [endpoint] = await attach(session, binding[0]!, { bind: [given!], connect: [] });
  const connect = [parseEndpoint(endpoint!)];
  for (const socket of all) {
    if (!binding.includes(socket)) await attach(session, socket, { bind: [], connect });
  }
  session.ready([endpoint!]);
  return endpoint!;
}

/** Counts what a socket receives, or answers its requests. */
function serve(socket: ReceiveSocket, meter: Meter, isStamped: boolean): void {
  if (socket instanceof Rep) {
    answer(socket, meter);
    return;
  }
  const stamps = new Stamps();
  socket.consume((batch) => {
    const now = performance.now();
    const { frames, starts, ends, bytes } = batch;
    meter.count(batch.messages, batch.countBytes(0, frames), now);
    if (isStamped) {
      for (let i = 0; i < frames; i++) {
        if (ends[i]! - starts[i]! < STAMP_BYTES) return;
        meter.latency.record(now - stamps.read(bytes, starts[i]!));
      }
    }
  });
}

async function answer(rep: Rep, meter: Meter): Promise<void> {
  for await (const request of rep) {
    const { frames } = request;
    meter.count(1, frames.reduce((sum, frame) => sum + frame.length, 0), performance.now());
    request.reply(frames);
  }
}

/** Waits until every sender has a receiver, so that connecting is not measured. */
async function waitForAll(
  session: Session,
  { role, waitPeers, timeout }: ZeroMqSpec,
  senders: readonly SendSocket[],
  receivers: number,
): Promise<void> {
  const wanted = waitPeers ?? (role === "both" ? receivers : 1);
  for (const sender of senders) {
    const count = () => sender instanceof Pub ? sender.subscribers : sender.peers;
    const limit = timeout ?? (role === "both" ? STALL_MS : Infinity);
    await waitForPeers(session, sender, { wanted, count, explicit: true }, limit);
  }
}

/** Sends in one direction, and waits for the receivers of this process. */
async function send(
  session: Session,
  { role, size, limits, timeout, linger }: ZeroMqSpec,
  senders: readonly (Push | Pub)[],
  receivers: readonly Socket[],
  received: Meter,
  endpoint: string,
  progress: Progressing,
): Promise<Outcome> {
  const sent = new Meter();
  const began = performance.now();
  sent.began = began;
  if (role === "both") {
    received.began = began;
    progress.watch(() => received.messages, "received");
  } else progress.watch(() => sent.messages, "sent");
  const schedules = senders.map((_, at) => new Schedule(session, limits, began, at, senders.length));
  await Promise.all(
    senders.map((socket, at) => generate(new SocketSink(socket), size, schedules[at]!, sent)),
  );
  const failure = senders.find((socket) => socket.failure !== undefined)?.failure;
  if (role === "send") {
    const lost = await flush(senders, session.stopping ? 0 : linger);
    if (lost === 0) sent.lastAt = performance.now();
    return { endpoint, measured: { sent }, failure, lost };
  }
  const expected = sent.messages * (senders[0] instanceof Pub ? receivers.length : 1);
  const isOver = () => received.messages >= expected;
  const arrived = await awaitMessages(session, isOver, () => received.messages, timeout ?? STALL_MS);
  const lost = arrived ? 0 : expected - received.messages;
  const latency = size >= STAMP_BYTES ? received.latency : undefined;
  return { endpoint, measured: { sent, received, latency }, failure, lost };
}

/** Waits until the operating system has taken all messages; returns the number of those that it has not. */
async function flush(sockets: readonly Socket[], linger: number): Promise<number> {
  const deadline = performance.now() + linger;
  let unsent = 0;
  for (const socket of sockets) {
    for (let left; socket.unsent > 0 && (left = deadline - performance.now()) > 0;) await socket.change(left);
    unsent += socket.unsent;
  }
  return unsent;
}

/** Receives until the limits, or until all senders have disconnected. */
async function receive(
  session: Session,
  { limits: { count = Infinity, duration = Infinity }, timeout }: ZeroMqSpec,
  sockets: readonly Socket[],
  received: Meter,
  endpoint: string,
  progress: Progressing,
): Promise<Outcome> {
  progress.watch(() => received.messages, "received");
  const isOver = () => {
    if (received.messages >= count || sockets.some((socket) => socket.failure !== undefined)) return true;
    if (received.began === undefined) return false;
    return performance.now() - received.began >= duration || sockets.every((socket) => socket.abandoned);
  };
  const arrived = await awaitMessages(session, isOver, () => received.messages, timeout);
  const failure = arrived
    ? sockets.find((socket) => socket.failure !== undefined)?.failure
    : new TimeoutError(`no message arrived for ${timeout! / 1000} s (-w)`);
  return { endpoint, measured: { received }, failure };
}

/** Sends requests one after the other on each socket. */
async function roundTrips(
  session: Session,
  { size, limits, timeout, role }: ZeroMqSpec,
  sockets: readonly Req[],
  endpoint: string,
  progress: Progressing,
): Promise<Outcome> {
  const replies = new Meter();
  const began = replies.began = performance.now();
  progress.watch(() => replies.messages, "replies");
  const schedules = sockets.map((_, at) => new Schedule(session, limits, began, at, sockets.length));
  const clients = sockets.map((socket, at) => request(socket, size, schedules[at]!, replies));
  let ended = false;
  const work = Promise.all(clients).finally(() => ended = true);
  work.catch(() => {});
  const limit = timeout ?? (role === "both" ? STALL_MS : undefined);
  const end = began + (limits.duration ?? Infinity) + GRACE_MS;
  const isOver = () => ended || performance.now() > end;
  const arrived = await awaitMessages(session, isOver, () => replies.messages, limit);
  for (const schedule of schedules) schedule.stop();
  // The replies to the last requests are on their way.
  if (arrived) {
    await Promise.race([
      work.catch(() => {}),
      new Promise((end) => setTimeout(end, LAST_REPLY_MS)),
    ]);
  }
  // A request that waits for its reply ends with the socket.
  await Promise.all(sockets.map((socket) => socket.close()));
  const failure = await work.then(() => undefined, (error) => error);
  const late = arrived ? undefined : new TimeoutError(`no reply arrived for ${limit! / 1000} s (-w)`);
  return { endpoint, measured: { received: replies, latency: replies.latency }, failure: late ?? failure };
}

class SocketSink implements Sink {
  readonly #socket: Push | Pub;

  constructor(socket: Push | Pub) {
    this.#socket = socket;
  }

  get failure(): Error | undefined {
    return this.#socket.failure;
  }

  /** `to` is the end of the batch. */
  send(batch: Batch, from: number): number {
    return this.#socket.sendBatch(batch, from);
  }

  writable(): Promise<void> {
    return this.#socket.writable(ROOM_MS);
  }
}
