/** The interfaces between the parts of the MQTT server. */
import type { AmqpError } from "../../../amqp/amqp_error.ts";
import type { TracedClient } from "../../core/firehose.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import type { FrameBuffer } from "../../../bytes/frame_buffer.ts";
import type { AckType, ProtocolVersion } from "../../../mqtt/packet_type.ts";
import type { BrokerCore } from "../../core/broker_core.ts";
import type { MessageStats } from "../../core/message_stats.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { VirtualHost } from "../../core/topology/vhost.ts";
import type { FanOut } from "../messages/fan_out.ts";
import type { Subscription } from "./subscriptions.ts";
import type { OutgoingMessage } from "../messages/outgoing.ts";

/** The MQTT part of a virtual host, as its sessions see it. */
export interface SessionSpace {
  readonly core: BrokerCore;
  readonly vhost: VirtualHost;
  readonly fanOut: FanOut;
  /** The message that is being sent: one for all clients. */
  readonly outgoing: OutgoingMessage;
  /** Publishes a will that waits, because its session ends. */
  readonly wills: { publishDelayed(clientId: string): void };
  /** Declares a queue; a direct one stores nothing. */
  declare(name: string, durable: boolean, owner: object, direct?: boolean): Queue;
  /** Returns the queue of a shared subscription, for another member. */
  shareQueue(name: string, filter: string): Queue;
  /** Removes a member of a shared subscription. */
  unshareQueue(queue: Queue): void;
  countNoLocal(subscription: Subscription, by: 1 | -1): void;
  /** Removes a session that has ended. */
  forget(session: { readonly clientId: string }): void;
  /** Reports messages that a session has dropped. */
  onDropped(clientId: string, count: number): void;
}

/** A session, as its shared subscriptions see it. */
export interface SharingSession {
  readonly space: SessionSpace;
  readonly connection: SessionConnection | undefined;
  readonly writable: boolean;
  /** The number of messages that wait for the client. */
  readonly waiting: number;
  /** The queue of its messages of QoS 1 and 2, once it has one. */
  readonly queue: Queue | undefined;
  /** Puts a message into the queue, for one subscription, in place of another message. */
  enqueue(message: EncodedMessage, origin: { readonly queue: Queue; readonly seq: number }): void;
  /** Sends a message of QoS 0 for one subscription. */
  deliverNow(outgoing: OutgoingMessage, subscription: Subscription, retain: boolean, ttl: number): void;
}

/** The connection of a session, as the session sees it. */
export interface SessionConnection extends TracedClient {
  readonly version: ProtocolVersion;
  readonly stats: MessageStats;
  /** Whether another message can be delivered. */
  readonly writable: boolean;
  /** Whether so much output is pending that messages of QoS 0 are dropped. */
  readonly isOverfull: boolean;
  /** Limit of unacknowledged messages of QoS 1 and 2 to the client. */
  readonly receiveMaximum: number;
  /** Whether messages of QoS 0 without subscription identifiers have the same bytes as those to other clients. */
  readonly isPlain: boolean;
  /** Sends a message as it says. @returns false if it is over the size limit of the client */
  deliver(message: OutgoingMessage): boolean;
  /** Sends an encoded packet. */
  deliverEncoded(packet: FrameBuffer): void;
  /** Sends an acknowledgement as soon as the journal is safe up to `position`. */
  acknowledge(type: AckType, packetId: number, reasonCode: number, position: number): void;
  /** Ends the connection, because another one has the same client identifier [MQTT-3.1.4-3]. */
  takeOver(): void;
  /** Ends the connection with a reason. */
  fail(error: AmqpError): void;
}
