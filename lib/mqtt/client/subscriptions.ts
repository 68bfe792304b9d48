import { IncompatiblePeerError, RefusedError } from "../../errors.ts";

import { REASON, reasonName } from "../reason_code.ts";
import { isShared, isTopicFilter } from "../topic.ts";
import type { MqttConnection } from "./connection.ts";

/** What a client subscribes to. */
export interface Subscription {
  /** A topic filter, or a shared subscription: `$share/GROUP/FILTER`. */
  readonly filter: string;
  /** The highest QoS of its messages. Default: 1 */
  readonly qos?: 0 | 1 | 2 | undefined;
  /** Whether the client does not get its own messages; only in MQTT 5.0. Default: false */
  readonly noLocal?: boolean | undefined;
}

/** The packet identifier of all requests: only one is in progress at a time. */
const REQUEST_ID = 65_535;

/** Checks filters before a connection exists. @throws {RangeError} one is not valid */
export function checkFilters(subscriptions: readonly Subscription[]): void {
  if (subscriptions.length === 0) throw new RangeError("Cannot subscribe as there is no topic filter");
  for (const { filter } of subscriptions) {
    if (isTopicFilter(filter)) continue;
    throw new RangeError(
      isShared(filter)
        ? `Cannot subscribe to '${filter}': a shared subscription is $share/GROUP/FILTER, and the group has no / + #`
        : `Cannot subscribe to '${filter}': in a topic filter, + is a whole level and # is the last level`,
    );
  }
}

/**
 * Subscribes, and waits for the answer of the server.
 *
 * @throws {IncompatiblePeerError} the server does not support shared subscriptions
 * @throws {RefusedError} the server refused a filter
 */
export async function subscribe(
  connection: MqttConnection,
  subscriptions: readonly Subscription[],
): Promise<void> {
  const shared = subscriptions.find(({ filter }) => isShared(filter));
  // A server of MQTT 3.1.1 would treat it as a filter like any other, which matches nothing.
  if (shared !== undefined && (connection.version < 5 || !connection.limits.sharesSubscriptions)) {
    throw new IncompatiblePeerError(
      `Cannot subscribe to '${shared.filter}': the server has no shared subscriptions` +
        (connection.version < 5 ? ", as it speaks only MQTT 3.1.1" : ""),
    );
  }
  connection.encoder.subscribe({
    packetId: REQUEST_ID,
    properties: {},
    requests: subscriptions.map(({ filter, qos = 1, noLocal = false }) => ({
      filter,
      qos,
      // [MQTT-3.8.3-4]
      noLocal: noLocal && !isShared(filter),
      retainAsPublished: false,
      // A session that continues has the subscription, and has sent the retained messages.
      retainHandling: 1,
    })),
  });
  const { codes, properties } = await connection.reply(REQUEST_ID);
  const at = subscriptions.findIndex((_, i) => (codes[i] ?? REASON.unspecified) >= REASON.unspecified);
  if (at < 0) return;
  const code = codes[at] ?? REASON.unspecified;
  const reason = properties.reasonString === undefined ? "" : `: ${properties.reasonString}`;
  const said = connection.version < 5 ? `return code ${code}` : `${reasonName(code)}${reason}`;
  throw new RefusedError(`The server refused the subscription to '${subscriptions[at]!.filter}' (${said})`);
}

/** Unsubscribes, and waits for the answer of the server. */
export async function unsubscribe(
  connection: MqttConnection,
  subscriptions: readonly Subscription[],
): Promise<void> {
  const filters = subscriptions.map(({ filter }) => filter);
  connection.encoder.unsubscribe({ packetId: REQUEST_ID, properties: {}, filters });
  await connection.reply(REQUEST_ID);
}
