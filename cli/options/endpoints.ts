import { type Endpoint, formatEndpoint } from "../../lib/transport/endpoint.ts";
import { carries, schemesFor } from "../../lib/transport/schemes/table.ts";
import type { SocketEvent } from "../../lib/zmq/events.ts";
import type { Socket } from "../../lib/zmq/socket.ts";
import { preview } from "../../lib/zmtp/bytes.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import type { SecurityOptions } from "./tls.ts";
import { endpoint } from "../app/values.ts";

/** Who uses udp besides, and which way: nobody is asked there, so the sender connects (libzmq). */
const DATAGRAMS: Record<string, "bind" | "connect"> = { radio: "connect", dish: "bind" };

/** What to bind and what to connect. */
export interface Plan {
  readonly bind: readonly Endpoint[];
  readonly connect: readonly Endpoint[];
}

/**
 * Sorts the endpoints of a command line: `@` binds and `>` connects (CZMQ's signs), `-b` and `-c` say it in words, and
 * what has neither goes the command's usual way.
 *
 * @param pattern whose transports count, if the command has not the name of one
 * @throws {UsageError} there is none, or one is malformed
 */
export function planEndpoints(
  command: string,
  usual: "bind" | "connect",
  values: Plan & Partial<SecurityOptions>,
  operands: readonly string[],
  pattern: string = command,
): Plan {
  const bind = [...values.bind];
  const connect = [...values.connect];
  const byDatagrams = DATAGRAMS[pattern];
  for (const operand of operands) {
    if (operand.startsWith("@")) bind.push(endpoint(operand.slice(1)));
    else if (operand.startsWith(">")) connect.push(endpoint(operand.slice(1)));
    else {
      const where = endpoint(operand);
      const way = where.scheme === "udp" ? byDatagrams ?? usual : usual;
      (way === "bind" ? bind : connect).push(where);
    }
  }
  if (bind.length + connect.length === 0) {
    throw new UsageError(`no endpoint was given (try: mqcat ${command} :5555)`);
  }
  const { insecure, cacert, cert, key } = values;
  if ((insecure || (cacert ?? cert ?? key) !== undefined) && ![...bind, ...connect].some(isWss)) {
    throw new UsageError(
      "certificates are for wss://, and no such endpoint is given (CURVE is for any: mqcat keygen)",
    );
  }
  for (const endpoint of [...bind, ...connect]) {
    const isDatagram = carries(endpoint, "datagrams");
    if (carries(endpoint, "frames") || isDatagram && byDatagrams !== undefined) continue;
    const others = isDatagram ? "radio, dish, echo-server" : "echo-server";
    const usable = schemesFor("frames").join(", ");
    throw new UsageError(
      `${command} takes ${usable}, not ${endpoint.scheme}:// (${others} and echo-client do)`,
    );
  }
  return { bind, connect };
}

function isWss({ scheme }: Endpoint): boolean {
  return scheme === "wss";
}

/** Binds and connects, and tells who waits for it when the socket is ready. */
export async function open(session: Session, socket: Socket, plan: Plan): Promise<void> {
  const bound = await attach(session, socket, plan);
  if (bound.length > 0) session.ready(bound);
  else tellWhenConnected(session, socket, plan.connect.map(formatEndpoint));
}

/** Binds and connects; returns what was bound, with real ports. */
export async function attach(session: Session, socket: Socket, plan: Plan): Promise<string[]> {
  const bound: string[] = [];
  for (const endpoint of plan.bind) bound.push(await socket.bind(endpoint));
  for (const endpoint of plan.connect) socket.connect(endpoint);
  session.onStop(() => socket.wake());
  return bound;
}

async function tellWhenConnected(session: Session, socket: Socket, endpoints: string[]): Promise<void> {
  while (socket.peers === 0) {
    if (socket.closed) return;
    await socket.change();
  }
  try {
    session.ready(endpoints);
  } catch (error) {
    session.reporter.warn(`--ready-file: ${phrase(error)}`);
  }
}

/** Says on stderr what happens to a socket. */
export function describeEvents(session: Session): (event: SocketEvent) => void {
  const { reporter } = session;
  /** How often each endpoint did not answer since it last did. */
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
      case "retrying": {
        if (event.error === undefined) return;
        const count = (failures.get(event.endpoint) ?? 0) + 1;
        failures.set(event.endpoint, count);
        // Once is nothing to speak of: the two ends may start in any order.
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
      case "request-again":
        return reporter.warn(`${event.endpoint} went away before it replied; asking again`);
    }
  };
}

/** A peer that keeps coming back has a new port each time; without it the line is the same, and said once. */
function withoutPort(endpoint: string): string {
  return endpoint.replace(/:\d+$/, "");
}
