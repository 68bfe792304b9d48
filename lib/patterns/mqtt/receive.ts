/** Subscribe and pull on MQTT servers. */
import { EndpointError } from "../../errors.ts";
import { MqttSubscriber } from "../../mqtt/client/subscriber.ts";
import type { MqttTarget } from "../../mqtt/client/url.ts";
import { isShared } from "../../mqtt/topic.ts";
import type { Inlet, InletEvents } from "../contract.ts";
import { AmqpMapping } from "./mapping.ts";
import type { MqttOptions } from "./send.ts";

/** The group of `pull` unless another one is given. */
export const DEFAULT_GROUP = "mqcat";

/** The default of `sessionExpiry`: long enough for a server that restarts. */
const SESSION_S = 60;

/** Options of all receivers. */
interface ReceiveOptions extends MqttOptions, InletEvents {
  /** The highest QoS of the messages. Default: 1 */
  readonly qos?: 0 | 1 | 2 | undefined;
  /** The maximum number of unacknowledged messages of QoS 1 and 2, in MQTT 5.0. Default: 1000 */
  readonly prefetch?: number | undefined;
  /**
   * How long the server keeps the subscription and its messages while the client is not connected, in seconds: none is
   * lost if it reconnects by then. With a `clientId` also after it is closed. MQTT 3.1.1 needs a `clientId` for that, and
   * keeps them for ever. Default: 60, or 0 with QoS 0 or a `clientId`
   */
  readonly sessionExpiry?: number | undefined;
}

/** Options of `subscribe`. */
export interface SubscribeOptions extends ReceiveOptions {
  /** Topic filters, besides the one of the address. Default: the one of the address, or all topics (`#`) */
  readonly topics?: readonly string[] | undefined;
}

/** Options of `pull`. */
export interface PullOptions extends ReceiveOptions {
  /** The name of the group that shares the messages. Default: `mqcat` */
  readonly group?: string | undefined;
}

/**
 * Receives a copy of each message whose topic matches a filter, and first the retained messages.
 *
 * @throws {RangeError} a filter is not valid
 */
export function subscribe({ addresses, topic }: MqttTarget, options: SubscribeOptions): Inlet {
  const given = [...(topic === undefined ? [] : [topic]), ...(options.topics ?? [])];
  return receiver(addresses, given.length === 0 ? ["#"] : given, options);
}

/**
 * Shares the messages of a filter with the other members of a group: each message goes to one of them. The server must
 * have shared subscriptions, which MQTT 5.0 defines.
 *
 * @throws {EndpointError} the address names no filter
 * @throws {RangeError} the filter or the group is not valid
 */
export function pull({ addresses, topic }: MqttTarget, options: PullOptions): Inlet {
  if (topic === undefined) {
    throw new EndpointError("The address names no topic or filter: mqtt://host/topic does");
  }
  const filter = isShared(topic) ? topic : `$share/${options.group ?? DEFAULT_GROUP}/${topic}`;
  return receiver(addresses, [filter], options);
}

function receiver(
  addresses: MqttTarget["addresses"],
  filters: readonly string[],
  options: ReceiveOptions,
): Inlet {
  const { qos, prefetch, clientId } = options;
  return new MqttSubscriber(addresses, filters.map((filter) => ({ filter, qos })), {
    ...options,
    receiveMaximum: prefetch,
    sessionExpiry: options.sessionExpiry ?? (qos === 0 || clientId !== undefined ? 0 : SESSION_S),
    mapping: new AmqpMapping(),
  });
}
