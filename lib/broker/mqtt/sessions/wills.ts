import { FrameBuffer } from "../../../bytes/frame_buffer.ts";
import { copyOf } from "../../../mqtt/integers.ts";
import { PacketEncoder } from "../../../mqtt/packet_encoder.ts";
import { type Connect, decodeConnect, type Will } from "../../../mqtt/packets.ts";
import { MAX_TIMER } from "../../../transport/waiting.ts";
import type { Timer } from "../../core/clock.ts";
import type { BrokerCore } from "../../core/broker_core.ts";
import { encodeMessage, propertiesOf } from "../../core/message.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { WILL_QUEUE } from "../names.ts";
import { discard } from "./session_state.ts";

/** The will of a client, from its login until it is published or discarded. */
export interface PendingWill {
  readonly clientId: string;
  readonly user: string;
  readonly will: Will;
  /** Its place in the queue of wills; -1 if it does not survive a restart. */
  readonly seq: number;
}

/** The MQTT part of a virtual host, as its wills see it. */
export interface WillSpace {
  readonly core: BrokerCore;
  readonly sessions: ReadonlyMap<string, { readonly expiry: number }>;
  /** Publishes a will for its user. */
  publish(user: string, will: Will): void;
}

/**
 * The wills of a virtual host. Those of all connections are stored, so that they are published after a crash of the
 * broker, too.
 */
export class Wills {
  readonly #space: WillSpace;
  readonly #declare: (() => Queue) | undefined;
  #queue: Queue | undefined;
  /** Wills that wait for the end of their delay, by client identifier. */
  readonly #delayed = new Map<
    string,
    { readonly pending: PendingWill; timer: Timer }
  >();

  /**
   * @param existing the queue of an earlier run; its wills are published after their delay
   * @param declare makes the queue; undefined: wills are kept in memory
   */
  constructor(space: WillSpace, existing: Queue | undefined, declare: (() => Queue) | undefined) {
    this.#space = space;
    this.#declare = declare;
    this.#queue = existing;
    if (existing !== undefined) this.#restore(existing);
  }

  /** Stores the will of a client that logs in. */
  add(clientId: string, user: string, will: Will): PendingWill {
    if (this.#declare === undefined) return { clientId, user, will, seq: -1 };
    if (this.#queue === undefined || this.#queue.deleted) this.#queue = this.#declare();
    const encoder = new PacketEncoder(new FrameBuffer());
    encoder.connect({
      version: 5,
      cleanStart: true,
      keepAlive: 0,
      properties: {},
      clientId,
      will,
      userName: user,
      password: undefined,
    });
    const address = { exchange: "", routingKey: WILL_QUEUE };
    const message = encodeMessage(address, { deliveryMode: 2 }, encoder.out.take());
    return { clientId, user, will, seq: this.#space.core.intake.put(this.#queue, message) };
  }

  /** The client has disconnected as intended [MQTT-3.14.4-3]. */
  discard({ seq }: PendingWill): void {
    if (seq >= 0 && this.#queue !== undefined) discard(this.#queue, seq);
  }

  /** The connection has ended: publishes the will after its delay, or when the session ends [MQTT-3.1.2-8]. */
  trigger(pending: PendingWill, sessionExpiry: number): void {
    const delay = Math.min(pending.will.properties.willDelayInterval ?? 0, sessionExpiry);
    if (delay === 0) return this.#publish(pending);
    const end = this.#space.core.cycle.clock.now() + delay * 1000;
    const { cycle } = this.#space.core;
    const wait = (): Timer =>
      this.#space.core.cycle.clock.setTimeout(() => {
        if (this.#space.core.cycle.clock.now() < end) {
          entry.timer = wait();
          return;
        }
        cycle.begin();
        try {
          this.publishDelayed(pending.clientId);
        } finally {
          cycle.end();
        }
      }, Math.min(Math.max(0, end - this.#space.core.cycle.clock.now()), MAX_TIMER));
    const entry = { pending, timer: wait() };
    this.publishDelayed(pending.clientId);
    this.#delayed.set(pending.clientId, entry);
  }

  /** The session continues: a will that waits is not published [MQTT-3.1.3-9]. */
  cancel(clientId: string): void {
    const entry = this.#delayed.get(clientId);
    if (entry === undefined) return;
    this.#space.core.cycle.clock.clearTimeout(entry.timer);
    this.#delayed.delete(clientId);
    this.discard(entry.pending);
  }

  /** The session ends: a will that waits is published now. */
  publishDelayed(clientId: string): void {
    const entry = this.#delayed.get(clientId);
    if (entry === undefined) return;
    this.#space.core.cycle.clock.clearTimeout(entry.timer);
    this.#delayed.delete(clientId);
    this.#publish(entry.pending);
  }

  /** Stops all timers; after a restart the wills are published. */
  stop(): void {
    for (const { timer } of this.#delayed.values()) this.#space.core.cycle.clock.clearTimeout(timer);
  }

  #publish(pending: PendingWill): void {
    try {
      this.#space.publish(pending.user, pending.will);
    } catch (error) {
      this.#space.core.onFailure(error as Error);
    }
    this.discard(pending);
  }

  #restore(queue: Queue): void {
    const found: PendingWill[] = [];
    for (let seq = 0; (seq = queue.lanes[0]!.nextLive(seq)) >= 0; seq++) {
      const message = queue.messageAt(0, seq);
      const packet = message === undefined
        ? undefined
        : copyOf(message.body, message.bodyStart, message.bodyEnd);
      const connect = packet === undefined || propertiesOf(message!).deliveryMode !== 2
        ? undefined
        : readWill(packet);
      if (connect?.will === undefined) {
        queue.settle(0, seq);
        continue;
      }
      const { clientId, will, userName } = connect;
      found.push({ clientId, user: userName ?? "", will, seq });
    }
    // The sessions are restored first.
    queueMicrotask(() => {
      this.#space.core.cycle.begin();
      try {
        for (const one of found) this.trigger(one, this.#space.sessions.get(one.clientId)?.expiry ?? 0);
      } finally {
        this.#space.core.cycle.end();
      }
    });
  }
}

/** Reads a stored will; undefined for a message that a client has put into the queue. */
function readWill(packet: Uint8Array): Connect | undefined {
  let start = 1;
  while (packet[start++]! >= 0x80);
  try {
    return decodeConnect(packet, start, packet.length);
  } catch {
    return undefined;
  }
}
