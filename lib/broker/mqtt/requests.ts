/** SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0, 3.8 and 3.10). */
import { HEADER } from "../../crossing/mqtt/headers.ts";
import { protocolError } from "../../mqtt/mqtt_error.ts";
import type { ProtocolVersion } from "../../mqtt/packet_type.ts";
import type { Subscribe, SubscriptionRequest, Unsubscribe } from "../../mqtt/packets.ts";
import { REASON } from "../../mqtt/reason_code.ts";
import { isShared, isTopicFilter, parseShared } from "../../mqtt/topic.ts";
import { addressOf, encodeMessage, propertiesOf } from "../core/message.ts";
import type { Access } from "../core/users/user_store.ts";
import { bindingKeyOf, EXCHANGE, fitsName, sharedQueue, subscriptionQueue } from "./names.ts";
import { replyFor } from "./replies.ts";
import type { Session } from "./sessions/session.ts";
import type { MqttSpace } from "./sessions/space.ts";
import type { Subscription } from "./sessions/subscriptions.ts";

/** What requests need of the connection. */
export interface RequestingClient {
  readonly version: ProtocolVersion;
  readonly access: Access;
  readonly session: Session;
  readonly vhostSpace: MqttSpace;
}

/** A refused request: its code, and why. */
interface Refusal {
  readonly code: number;
  readonly reason: string;
}

/** The answer to a request: a code for each filter, and the reason of the first refusal. */
export interface RequestResult {
  readonly codes: number[];
  readonly reason: string | undefined;
  /** Sends retained messages; called after the answer is encoded. */
  sendRetained(): void;
}

/** Performs a SUBSCRIBE: each filter is subscribed or refused [MQTT-3.8.4-6]. */
export function subscribe(client: RequestingClient, { requests, properties }: Subscribe): RequestResult {
  const id = properties.subscriptionIdentifiers?.[0];
  let reason: string | undefined;
  const fresh: [subscription: Subscription, isNew: boolean, handling: number][] = [];
  const codes = requests.map((request) => {
    const refusal = check(client, request);
    if (refusal === undefined) {
      const { filter, qos, noLocal, retainAsPublished, retainHandling } = request;
      const { session } = client;
      const subscription = { filter, qos, noLocal, retainAsPublished, id };
      try {
        const isNew = session.subscriptions.get(filter) === undefined;
        if (isShared(filter)) {
          session.shared.join({ ...subscription, queue: 1 });
          session.save();
        } else {
          session.subscribe(subscription);
          fresh.push([session.subscriptions.get(filter)!, isNew, retainHandling]);
        }
        return qos;
      } catch (error) {
        const reply = replyFor(error);
        reason ??= reply.message;
        return client.version < 5 ? 0x80 : reply.reasonCode;
      }
    }
    reason ??= refusal.reason;
    return client.version < 5 ? 0x80 : refusal.code;
  });
  return {
    codes,
    reason,
    sendRetained: () => {
      for (const [subscription, isNew, handling] of fresh) {
        // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
        if (handling === 0 || handling === 1 && isNew) sendRetained(client, subscription);
      }
    },
  };
}

/** Performs an UNSUBSCRIBE. */
export function unsubscribe({ session }: RequestingClient, { filters }: Unsubscribe): number[] {
  return filters.map((filter) => {
    const shared = isShared(filter);
    const known = shared ? session.shared.leave(filter) : session.unsubscribe(filter);
    if (shared && known) session.save();
    return known ? REASON.success : REASON.noSubscriptionExisted;
  });
}

/** Checks the filter of a request, and the permissions. @throws {MqttError} 0x82: No Local of a shared subscription */
function check(
  { access, session, vhostSpace: space }: RequestingClient,
  { filter, noLocal }: SubscriptionRequest,
): Refusal | undefined {
  const invalid = (reason: string) => ({ code: REASON.topicFilterInvalid, reason });
  if (!isTopicFilter(filter)) return invalid(`'${filter}' is not a topic filter`);
  const shared = parseShared(filter);
  if (shared !== undefined && noLocal) { // [MQTT-3.8.3-4]
    throw protocolError("A shared subscription has the option No Local");
  }
  const key = bindingKeyOf(shared?.filter ?? filter);
  const queue = shared === undefined
    ? subscriptionQueue(session.clientId, 1)
    : sharedQueue(shared.group, shared.filter);
  if (!fitsName(key) || !fitsName(queue)) return invalid(`The topic filter '${filter}' is over 255 bytes`);
  try {
    access.check("configure", "queue", queue);
    access.check("write", "queue", queue);
    access.check("read", "queue", queue);
    access.check("read", "exchange", EXCHANGE);
    access.checkTopic("read", space.vhost.exchanges, EXCHANGE, key);
    return undefined;
  } catch (error) {
    const { reasonCode, message } = replyFor(error);
    return { code: reasonCode, reason: message };
  }
}

/** Sends the retained messages of a subscription, marked as such [MQTT-3.3.1-8]. */
function sendRetained({ session, vhostSpace: space }: RequestingClient, subscription: Subscription): void {
  const { outgoing } = space;
  space.retained.match(subscription.filter, (message, ttl) => {
    outgoing.read(message);
    if (Math.min(outgoing.qos, subscription.qos) === 0) {
      return session.deliverNow(outgoing, subscription, true, ttl);
    }
    const properties = propertiesOf(message);
    const headers = { ...properties.headers, [HEADER.filter]: subscription.filter, [HEADER.retain]: 1 };
    const expiration = ttl === Infinity ? {} : { expiration: String(Math.ceil(ttl)) };
    const body = message.body.subarray(message.bodyStart, message.bodyEnd);
    session.enqueue(encodeMessage(addressOf(message), { ...properties, headers, ...expiration }, body));
  });
}
