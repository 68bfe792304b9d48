import { Buffer } from "node:buffer";
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import { Consumer } from "../../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { messageOf, RefusedError } from "../../../lib/errors.ts";
import { PageError } from "../../../lib/page/page_error.ts";
import { pushTo } from "../../../lib/patterns/amqp/send.ts";
import { addressing } from "../../../lib/patterns/bridge/addressing.ts";
import { Bridge } from "../../../lib/patterns/bridge/bridge.ts";
import { toQueue } from "../../../lib/patterns/bridge/readdress.ts";
import type { Session } from "../../app/session.ts";
import { cross } from "../../bridge/crossing.ts";
import { requireQueue } from "../existence.ts";
import type { BrokerTarget } from "../target.ts";
import type { MoveRequest } from "./server.ts";

/** The time without a message after which a move ends, and the wait for the last confirms, in milliseconds. */
const SILENCE_MS = 10_000;
const LAST_MS = 30_000;
const PREFETCH = 1000;

/**
 * Moves messages over AMQP, as `queue move` does: each one is acknowledged only after its copy is confirmed.
 *
 * @param target the broker; the login is that of the page
 * @returns the number of moved messages
 * @throws {PageError} the move is refused, or was not completed
 */
export async function moveMessages(
  session: Session,
  target: BrokerTarget,
  { vhost, from, to, count }: MoveRequest,
  authorization: string,
): Promise<number> {
  if (from === to) throw new PageError(400, "bad_request", "a queue cannot be moved to itself");
  const [user = "", ...rest] = Buffer.from(authorization.replace(/^Basic /, ""), "base64").toString().split(
    ":",
  );
  const brokers = target.brokers.map((broker) => ({ ...broker, vhost, user, password: rest.join(":") }));
  const { signal: _signal, onEvent: _onEvent, ...options } = target.link;
  const link = { ...options, awayPatience: 0 };
  try {
    const connection = await connectBroker(brokers, link);
    let present: number;
    try {
      present = (await requireQueue(connection, from)).messageCount;
      await requireQueue(connection, to);
    } finally {
      await connection.close();
    }
    if (present === 0) return 0;
    const publisher = pushTo(brokers, to, {
      ...link,
      prepare: async (connection) => void await requireQueue(connection, to),
    });
    const bridge: Bridge = new Bridge(
      publisher,
      (events) => new Consumer(brokers, from, { ...link, ...events, prefetch: PREFETCH }),
      {
        address: addressing(toQueue(to)),
        count,
        present,
        prefetch: PREFETCH,
      },
    );
    await cross(session, bridge, {
      async start() {
        await publisher.start();
        await bridge.inlet.start();
      },
      timeout: SILENCE_MS,
      silence: "nothing moved",
      linger: LAST_MS,
      isDrained: () => bridge.inlet.isDrained!(),
    });
    if (bridge.isRefused || bridge.keptCount > 0) {
      throw new PageError(
        400,
        "bad_request",
        `moved ${bridge.forwarded} messages: '${to}' refused the next one`,
      );
    }
    return bridge.forwarded;
  } catch (error) {
    if (error instanceof PageError) throw error;
    if (error instanceof AmqpError && error.replyCode === 404) {
      throw new PageError(404, "not_found", messageOf(error));
    }
    const isRefused = error instanceof RefusedError || error instanceof AmqpError;
    throw new PageError(
      isRefused ? 401 : 502,
      isRefused ? "not_authorised" : "bad_gateway",
      messageOf(error),
    );
  }
}
