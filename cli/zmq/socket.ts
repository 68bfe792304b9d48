/** A ZeroMQ socket as the options describe it: made, opened, watched, and waited for. */
import { formatEndpoint } from "../../lib/transport/endpoint.ts";
import type { SocketEvent } from "../../lib/zmq/events.ts";
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { FanOutOptions } from "../../lib/zmq/outgoing/fan_out.ts";
import type { Socket } from "../../lib/zmq/socket.ts";
import { preview } from "../../lib/zmtp/bytes.ts";
import type { Mechanism } from "../../lib/zmtp/mechanisms/mechanism.ts";
import type { Values } from "../app/command.ts";
import { TimeoutError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import type { Source } from "../io/input.ts";
import type { EndpointPlan } from "../options/endpoints.ts";
import { type delivery, security, type socket } from "../options/options.ts";
import type { SecurityValues } from "../options/security.ts";
import { reloadedTls } from "../options/tls.ts";

/** How long a queue must stay full before `--on-full` drop or fail takes effect, in milliseconds. */
export const PATIENCE_MS = 200;

/**
 * The socket options that all ZeroMQ commands share.
 *
 * @throws {UsageError} the security options are wrong
 */
export async function socketOptions(
  session: Session,
  values: Values<typeof socket>,
): Promise<SocketOptions> {
  return {
    heartbeat: values.heartbeat === undefined ? undefined : { interval: values.heartbeat },
    security: await mechanismOf(session, values),
    tls: reloadedTls(session, values),
    origins: values.origin,
    onEvent: reportEvents(session),
  };
}

/** The mechanism that the options request. Its code is loaded only for them. */
async function mechanismOf(session: Session, values: SecurityValues): Promise<Mechanism | undefined> {
  if (Object.keys(security).every((key) => values[key as keyof SecurityValues] === undefined)) {
    return undefined;
  }
  const { securityOf } = await import("../options/security.ts");
  return securityOf(session, values);
}

/** The meaning of `--on-full` for one subscriber. The socket waits a moment before it drops. */
export function fanOutOptions({ onFull }: Pick<Values<typeof delivery>, "onFull">): FanOutOptions {
  return { onFull: onFull === "block" || onFull === "fail" ? "block" : "drop", dropAfter: PATIENCE_MS };
}

/** Binds and connects, and writes `--ready-file` once the socket is ready. */
export async function open(session: Session, socket: Socket, plan: EndpointPlan): Promise<void> {
  const bound = await attach(session, socket, plan);
  if (bound.length > 0) session.ready(bound);
  else readyWhenConnected(session, socket, plan.connect.map(formatEndpoint));
}

/** Binds and connects; returns the bound endpoints, with real ports. */
export async function attach(session: Session, socket: Socket, plan: EndpointPlan): Promise<string[]> {
  const bound: string[] = [];
  for (const endpoint of plan.bind) bound.push(await socket.bind(endpoint));
  for (const endpoint of plan.connect) socket.connect(endpoint);
  session.onStop(() => socket.wake());
  return bound;
}

async function readyWhenConnected(session: Session, socket: Socket, endpoints: string[]): Promise<void> {
  while (socket.peers === 0) {
    if (socket.closed) return;
    await socket.change();
  }
  try {
    session.ready(endpoints);
  } catch (error) {
    session.reporter.warn(phrase(error));
  }
}

/**
 * Cancels a source as soon as a socket fails, so that the failure is reported although no input arrives.
 *
 * @returns ends the watch; returns the failure for which the source was cancelled
 */
export function cancelAtFailure(socket: Socket, source: Source): () => Error | undefined {
  let over = false;
  let failure: Error | undefined;
  const watch = async () => {
    while (!over && !socket.closed && failure === undefined) {
      failure = socket.failure;
      if (failure === undefined) await socket.ended();
      else source.cancel();
    }
  };
  watch();
  return () => {
    over = true;
    return failure;
  };
}

/** The peers that a sender waits for before its first message. */
export interface PeerWait {
  readonly wanted: number;
  /** How many of them are connected. */
  readonly count: () => number;
  /** Whether `--wait-peers` was given, so that even an input without messages waits for them. */
  readonly explicit: boolean;
}

/** Waits for peers of any kind. Default: none. */
export function peersOf(socket: Socket, waitPeers: number | undefined): PeerWait {
  return { wanted: waitPeers ?? 0, count: () => socket.peers, explicit: waitPeers !== undefined };
}

/** Waits for peers with a subscription. Default: one. */
export function subscribersOf(
  socket: { readonly subscribers: number },
  waitPeers: number | undefined,
): PeerWait {
  return { wanted: waitPeers ?? 1, count: () => socket.subscribers, explicit: waitPeers !== undefined };
}

/**
 * Waits for peers. A signal ends the wait, and so does `needless`.
 *
 * @throws {TimeoutError} they did not connect within `timeout` milliseconds
 */
export async function waitForPeers(
  session: Session,
  socket: Socket,
  { wanted, count }: PeerWait,
  timeout = Infinity,
  needless: () => boolean = () => false,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (count() < wanted && !session.stopping && !needless()) {
    if (socket.failure !== undefined) throw socket.failure;
    const left = deadline - performance.now();
    if (left <= 0) {
      throw new TimeoutError(
        `${count()} of ${wanted} peers connected within ${timeout / 1000} s (--wait-peers, -w)`,
      );
    }
    await socket.change(left);
  }
}

/** Reports the events of a socket on stderr. */
function reportEvents(session: Session): (event: SocketEvent) => void {
  const { reporter } = session;
  /** The number of failures of each endpoint since its last success. */
  const failures = new Map<string, number>();
  return (event) => {
    switch (event.type) {
      case "listening":
        return reporter.info(`listening on ${event.endpoint}`);
      case "connected":
        failures.delete(event.endpoint);
        return reporter.verbose(
          `connected: ${event.endpoint} (${event.socketType}, ${
            event.version === "none" ? "by datagrams" : `ZMTP ${event.version}`
          }${event.mechanism === "NULL" ? "" : `, ${event.mechanism}`}${
            event.userId === "" ? "" : `, user ${event.userId}`
          })`,
        );
      case "disconnected":
        if (event.error === undefined) return reporter.verbose(`disconnected: ${event.endpoint}`);
        return reporter.warn(`lost ${event.endpoint}: ${phrase(event.error)}`);
      case "handshake-failed":
        return reporter.warn(
          `no handshake with ${event.dialed ? event.endpoint : withoutPort(event.endpoint)}: ${
            phrase(event.error)
          }`,
        );
      case "waiting":
        return reporter.warn(`connected to ${event.endpoint}, waiting for a ZMTP greeting`);
      case "retrying": {
        if (event.error === undefined) return;
        const count = (failures.get(event.endpoint) ?? 0) + 1;
        failures.set(event.endpoint, count);
        // One failure is not reported: the two ends may start in any order.
        return count === 2 ? reporter.warn(`${phrase(event.error)}; trying again`) : undefined;
      }
      case "subscription":
        return reporter.verbose(
          `${event.subscribe ? "subscribed" : "unsubscribed"}: ${event.endpoint} '${
            new TextDecoder().decode(event.topic)
          }'`,
        );
      case "dropping":
        return reporter.warn(`${event.endpoint} does not keep up: dropping messages for it (--on-full)`);
      case "unroutable":
        return reporter.warn(`no peer has the routing id ${preview(event.routingId)}: a message was dropped`);
      case "contested":
        return reporter.warn(
          `several peers take the routing id ${
            preview(event.routingId)
          } from each other (--handover): give each of them its own`,
        );
      case "request-again":
        return reporter.warn(`${event.endpoint} went away before it replied; asking again`);
    }
  };
}

/** Removes the port, which is new at each attempt of a peer, so that the line is printed only once. */
function withoutPort(endpoint: string): string {
  return endpoint.replace(/:\d+$/, "");
}
