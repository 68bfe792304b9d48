import { amqpError } from "../../../amqp/amqp_error.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { FrameBuffer } from "../../../bytes/frame_buffer.ts";
import { PublishFields } from "../../../mqtt/fields.ts";
import { PacketEncoder } from "../../../mqtt/packet_encoder.ts";
import type { Will } from "../../../mqtt/packets.ts";
import { PropertyWriter, writeProperties } from "../../../mqtt/properties.ts";
import type { BrokerCore } from "../../core/broker_core.ts";
import type { Binding } from "../../core/exchange/exchange.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { VirtualHost } from "../../core/topology/vhost.ts";
import type { SessionSpace } from "./contract.ts";
import { FanOut } from "../messages/fan_out.ts";
import { IncomingMessage } from "../messages/incoming.ts";
import {
  bindingKeyOf,
  clientIdOf,
  EXCHANGE,
  exchangeSeparators,
  RETAINED_QUEUE,
  subscriptionQueue,
  WILL_QUEUE,
} from "../names.ts";
import { OutgoingMessage } from "../messages/outgoing.ts";
import { RetainedMessages } from "./retained.ts";
import { Session } from "./session.ts";
import { type Subscription, subscriptionOf } from "./subscriptions.ts";
import { Wills, type WillSpace } from "./wills.ts";

/** Limits of MQTT. */
export interface MqttLimits {
  /** Messages that wait for one session; above it the oldest are dropped. */
  readonly sessionLimit: number;
  /** Seconds that a session outlives its connection at most. */
  readonly sessionExpiry: number;
  /** Retained messages of a virtual host. */
  readonly retainedLimit: number;
}

/** What is reported to the broker. */
export interface SpaceEvents {
  onDropped(vhost: string, clientId: string, count: number): void;
  onRetainedFull(vhost: string, topic: string): void;
}

/** The MQTT part of a virtual host: sessions, retained messages, wills, shared subscriptions. */
export class MqttSpace implements SessionSpace, WillSpace {
  readonly core: BrokerCore;
  readonly vhost: VirtualHost;
  readonly limits: MqttLimits;
  readonly sessions: Map<string, Session> = new Map();
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  readonly fanOut: FanOut = new FanOut();
  /** The packet and the message that are being published, and the one that is being sent: one for all clients. */
  readonly fields: PublishFields = new PublishFields();
  readonly incoming: IncomingMessage = new IncomingMessage();
  readonly outgoing: OutgoingMessage = new OutgoingMessage();
  /** How many subscriptions want no messages of their own client. */
  noLocal = 0;

  readonly #events: SpaceEvents;
  /** The queues of shared subscriptions, with the number of members. */
  readonly #shared = new Map<Queue, number>();
  readonly #stored = new IncomingMessage();

  constructor(
    core: BrokerCore,
    vhost: VirtualHost,
    limits: MqttLimits,
    persistent: boolean,
    events: SpaceEvents,
  ) {
    this.core = core;
    this.vhost = vhost;
    this.limits = limits;
    this.#events = events;
    const declare = (name: string) => () => this.#declareStore(name);
    this.retained = new RetainedMessages(
      core,
      limits.retainedLimit,
      vhost.queues.get(RETAINED_QUEUE),
      declare(RETAINED_QUEUE),
    );
    this.wills = new Wills(this, vhost.queues.get(WILL_QUEUE), persistent ? declare(WILL_QUEUE) : undefined);
    this.#restore();
  }

  /** Makes a session. */
  create(clientId: string, durable: boolean): Session {
    const session = new Session(this, clientId, durable);
    this.sessions.set(clientId, session);
    return session;
  }

  /** Removes a session that has ended. */
  forget(session: Session): void {
    if (this.sessions.get(session.clientId) === session) this.sessions.delete(session.clientId);
  }

  /**
   * Declares a queue of a session.
   *
   * @param direct whether it is for messages of QoS 0, which are not stored
   */
  declare(name: string, durable: boolean, owner: object, direct = false): Queue {
    const args: FieldTable = { "x-queue-type": "classic" };
    if (name.startsWith("mqtt-subscription-") && !direct) args["x-max-length"] = this.limits.sessionLimit;
    return this.#declare(name, durable, owner, args, direct);
  }

  /** The arguments of the queues of shared subscriptions. */
  get #sharedArguments(): FieldTable {
    return { "x-queue-type": "classic", "x-max-length": this.limits.sessionLimit };
  }

  /** Returns the queue of a shared subscription, for another member. */
  shareQueue(name: string, filter: string): Queue {
    const queue = this.#declare(name, true, this, this.#sharedArguments);
    const binding = { queue: name, exchange: EXCHANGE, routingKey: bindingKeyOf(filter), arguments: {} };
    this.vhost.bindQueue(binding, this);
    this.#shared.set(queue, (this.#shared.get(queue) ?? 0) + 1);
    return queue;
  }

  /** Removes a member of a shared subscription; its queue is deleted with the last one. */
  unshareQueue(queue: Queue): void {
    const left = this.#shared.get(queue)! - 1;
    if (left > 0) this.#shared.set(queue, left);
    else {
      this.#shared.delete(queue);
      this.core.deleteQueue(queue);
    }
  }

  /** Returns the seconds that a session outlives its connection, within the limit; Infinity for ever. */
  limitExpiry(seconds: number): number {
    return Math.min(seconds === 0xffff_ffff ? Infinity : seconds, this.limits.sessionExpiry);
  }

  countNoLocal({ noLocal }: Subscription, by: 1 | -1): void {
    if (noLocal) this.noLocal += by;
  }

  /**
   * Stores or deletes the retained message of a topic (3.3.1.3).
   *
   * @param topic a buffer whose bytes `[start, end)` are the topic
   * @returns whether there was room
   */
  retain(fields: PublishFields, topic: Uint8Array, start: number, end: number): boolean {
    const message = this.#stored;
    message.set(fields, topic, start, end, 0, undefined, true);
    const name = exchangeSeparators(message.key);
    try {
      if (fields.payloadEnd === fields.payloadStart) this.retained.delete(name);
      else if (!this.retained.hasRoomFor(name)) return false;
      else this.retained.set(name, message);
      return true;
    } finally {
      message.release();
    }
  }

  /** Publishes a message of the broker for a client: a will. */
  publish(user: string, { topic, payload, qos, retain, properties }: Will): void {
    const encoder = new PacketEncoder(new FrameBuffer());
    const writer = new PropertyWriter();
    const { willDelayInterval: _, ...others } = properties;
    writeProperties(others, writer);
    const name = new TextEncoder().encode(topic);
    const flags = qos << 1 | (retain ? 1 : 0);
    encoder.publish(
      flags,
      qos > 0 ? 1 : 0,
      name,
      name.length,
      writer.bytes,
      writer.length,
      payload,
      0,
      payload.length,
    );
    const packet = encoder.out.take();
    const fields = new PublishFields();
    let start = 1;
    while (packet[start++]! >= 0x80);
    fields.read(flags, packet, start, packet.length, 5);
    if (retain) this.retain(fields, name, 0, name.length);
    const message = this.incoming;
    message.set(fields, name, 0, name.length, 0, undefined, false);
    try {
      this.core.intake.publish(this.vhost, user, EXCHANGE, message.key, message, message.scan, false);
      this.vhost.stats.published++;
    } finally {
      message.release();
    }
  }

  onDropped(clientId: string, count: number): void {
    this.#events.onDropped(this.vhost.name, clientId, count);
  }

  /** A message cannot be retained, because the limit is reached. */
  onRetainedFull(topic: string): void {
    this.#events.onRetainedFull(this.vhost.name, topic);
  }

  /** Reports dropped messages of all sessions. */
  reportDropped(): void {
    for (const session of this.sessions.values()) session.reportDropped();
  }

  /** Ends the sessions that are incomplete; those with a client at its next login, before which it is disconnected. */
  endIncomplete(): void {
    for (const session of this.sessions.values()) {
      if (!session.isIncomplete) continue;
      if (session.connection === undefined) session.end();
      else session.connection.fail(amqpError(320, "a queue of the session was deleted"));
    }
  }

  /** Stops all timers. */
  stop(): void {
    for (const session of this.sessions.values()) session.stop();
    this.wills.stop();
  }

  #declareStore(name: string): Queue {
    return this.#declare(name, true, this, { "x-queue-type": "classic" });
  }

  #declare(name: string, durable: boolean, owner: object, args: FieldTable, direct = false): Queue {
    const flags = { passive: false, durable, exclusive: !durable, autoDelete: false };
    // The arguments may be those of an earlier run with other limits.
    const known = durable ? this.vhost.queues.get(name) : undefined;
    if (known !== undefined && known.definition.durable && !known.definition.exclusive) return known;
    return this.vhost.declareQueue({ queue: name, ...flags, arguments: args }, owner, name, direct);
  }

  /** Restores the sessions of an earlier run, and removes the remains of others. */
  #restore(): void {
    const { vhost, core } = this;
    const bindings = new Map<string, Binding[]>();
    for (const binding of vhost.exchanges.get(EXCHANGE)?.bindings ?? []) {
      const { name } = binding.destination;
      const known = bindings.get(name);
      if (known === undefined) bindings.set(name, [binding]);
      else known.push(binding);
    }
    for (const name of [...vhost.queues.keys()]) {
      const clientId = clientIdOf(name);
      if (clientId === undefined) continue;
      const session = this.create(clientId, true);
      for (const qos of [0, 1] as const) {
        for (const { routingKey, arguments: args } of bindings.get(subscriptionQueue(clientId, qos)) ?? []) {
          const subscription = subscriptionOf(routingKey, args, qos);
          if (subscription !== undefined) session.restoreSubscription(subscription);
        }
      }
      if (session.restore()) session.expireLater();
      // A queue of a client may have such a name.
      else if (!session.hasQueues && vhost.queues.get(name)!.ready > 0) this.forget(session);
      else session.end();
    }
    for (const queue of [...vhost.queues.values()]) {
      const { name, definition } = queue;
      if (!name.startsWith("mqtt-shared-") || this.#shared.has(queue)) continue;
      // A queue of a client may have such a name; those of MQTT have these arguments.
      if (Object.keys(definition.arguments).join() === Object.keys(this.#sharedArguments).join()) {
        core.deleteQueue(queue);
      }
    }
  }
}
