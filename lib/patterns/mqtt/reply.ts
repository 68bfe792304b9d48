/** Reply on MQTT servers. */
import type { MqttConnection } from "../../mqtt/client/connection.ts";
import { MqttPublisher } from "../../mqtt/client/publisher.ts";
import type { MqttTarget } from "../../mqtt/client/url.ts";
import { isTopicName } from "../../mqtt/topic.ts";
import { Replier, type ReplierEvents } from "../replier.ts";
import { AmqpMapping } from "./mapping.ts";
import { pull } from "./receive.ts";
import { requireVersion5 } from "./request.ts";
import type { MqttOptions } from "./send.ts";

/** Options of `reply`. */
export type ReplyOptions = MqttOptions & ReplierEvents & {
  /** The name of the group that shares the requests. Default: `mqcat` */
  readonly group?: string | undefined;
  /** The maximum number of unacknowledged requests. Default: 1 */
  readonly prefetch?: number | undefined;
};

/**
 * Receives the requests of a topic or a filter, and shares them with the other repliers of a group. The reply goes to the
 * response topic, with the correlation data. Requests that arrive while no replier of the group is connected are lost.
 *
 * @throws {EndpointError} the address names no filter
 * @throws {RangeError} the filter or the group is not valid
 */
export function reply(target: MqttTarget, options: ReplyOptions = {}): Replier {
  return new Replier((onDelivery) => ({
    inlet: pull(target, { ...options, prefetch: options.prefetch ?? 1, onDelivery }),
    outlet: new MqttPublisher(target.addresses, {
      ...options,
      mapping: new AmqpMapping(),
      mandatory: true,
      prepare: async (connection: MqttConnection) => await requireVersion5(connection, "replies"),
    }),
    route: (replyTo) => ({ exchange: "", routingKey: replyTo }),
    isReceived: (replyTo) => isTopicName(replyTo) ? undefined : Promise.resolve(false),
  }), options);
}
