/** The names that MQTT uses in the broker: of queues, of headers, and topics as routing keys. */
import { SESSION_PREFIX } from "../core/policies/own_queues.ts";

export { RETAINED_QUEUE, WILL_QUEUE } from "../core/policies/own_queues.ts";

/** The exchange that all MQTT messages go through, as in RabbitMQ. */
export const EXCHANGE = "amq.topic";
/** The highest size of a routing key and of a queue's name, in bytes. */
export const MAX_NAME = 255;

/** The queue for messages of QoS 1 and 2 of a session, and the one for QoS 0, as in RabbitMQ. */
export function subscriptionQueue(clientId: string, qos: 0 | 1): string {
  return `mqtt-subscription-${clientId}qos${qos}`;
}

/** The queue with the state of a session that survives a restart. */
export function stateQueue(clientId: string): string {
  return `${SESSION_PREFIX}${clientId}`;
}

/** The client identifier of a session, from the name of its queue; undefined for other queues. */
export function clientIdOf(queue: string): string | undefined {
  return queue.startsWith(SESSION_PREFIX) ? queue.slice(SESSION_PREFIX.length) : undefined;
}

/** The queue of a shared subscription. */
export function sharedQueue(group: string, filter: string): string {
  return `mqtt-shared-${group}/${filter}`;
}

/** Whether a name of the broker has room for a text. */
export function fitsName(name: string): boolean {
  return name.length <= MAX_NAME && new TextEncoder().encode(name).length <= MAX_NAME;
}

/** Returns a filter as a binding key: levels become words, and `+` becomes `*`. */
export function bindingKeyOf(filter: string): string {
  return exchangeSeparators(filter).split(".").map((word) => word === "+" ? "*" : word).join(".");
}

/** Returns a binding key as a filter; `*` becomes `+`. */
export function filterOf(bindingKey: string): string {
  return exchangeSeparators(bindingKey.split(".").map((word) => word === "*" ? "+" : word).join("."));
}

/** Exchanges `/` and `.`: the levels of a topic are the words of a routing key. */
export function exchangeSeparators(text: string): string {
  return text.replace(/[/.]/g, (char) => char === "/" ? "." : "/");
}

const SLASH = 0x2f;
const DOT = 0x2e;

/** Copies `source[start, end)` to `at` with `/` and `.` exchanged, and returns the position after it. */
export function copyExchanged(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  for (let i = start; i < end; i++) {
    const byte = source[i]!;
    target[at++] = byte === SLASH ? DOT : byte === DOT ? SLASH : byte;
  }
  return at;
}
