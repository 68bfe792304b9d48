import { PROGRESS } from "../../../amqp/dump.ts";

/** Retained messages and wills of MQTT, and the state of its sessions, which has the client's identifier after the prefix. */
export const RETAINED_QUEUE = "mqtt-retained";
export const WILL_QUEUE = "mqtt-wills";
export const SESSION_PREFIX = "mqtt-session-";

/** Whether a queue has records of MQTT. They belong to the sessions of this broker, so they are not exported. */
export function hasMqttRecords(queue: string): boolean {
  return queue === RETAINED_QUEUE || queue === WILL_QUEUE || queue.startsWith(SESSION_PREFIX);
}

/** Whether a queue has the broker's own records. No policy applies to it: a limit could remove some of them. */
export function hasOwnRecords(queue: string): boolean {
  return hasMqttRecords(queue) || queue.startsWith(PROGRESS);
}
