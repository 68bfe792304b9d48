/** Reply on MQTT servers. */
import { MqttPublisher } from "../../mqtt/client/publisher.ts";
import type { MqttTarget } from "../../mqtt/client/url.ts";
import { type OpenReplies, Replier, type ReplierEvents } from "../replier.ts";
import { AmqpMapping } from "./mapping.ts";
import { pull } from "./receive.ts";
import type { MqttOptions } from "./send.ts";

/** Options of `reply`. */
export type ReplyOptions = MqttOptions & ReplierEvents & {
  /** The name of the group of repliers that share the requests. Default: `mqcat` */
  readonly group?: string | undefined;
  /** The maximum number of unacknowledged requests, 1 to 65535. Default: 1 */
  readonly prefetch?: number | undefined;
};

/**
 * Receives the requests of the topic of an address, which all repliers of a group share. Replies go to the response topic
 * of the request. The server must speak MQTT 5.0.
 *
 * @throws {EndpointError} the address names no topic
 */
export function reply(target: MqttTarget, options: ReplyOptions = {}): Replier {
  const { prefetch = 1 } = options;
  const open: OpenReplies = (onDelivery) => ({
    inlet: pull(target, { ...options, prefetch, onDelivery }),
    outlet: new MqttPublisher(target.addresses, {
      ...options,
      clientId: options.clientId === undefined ? undefined : `${options.clientId}-replies`,
      mapping: new AmqpMapping(),
      mandatory: true,
    }),
    route: (replyTo) => ({ exchange: "", routingKey: replyTo }),
    isReceived: () => undefined, // The server may report it.
  });
  return new Replier(open, options);
}
