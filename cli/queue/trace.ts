/** `queue trace`: what happens to messages in a broker, in words. The events are those of its trace exchange. */
import { decodeProperties } from "../../lib/amqp/properties.ts";
import type { FieldTable, FieldValue } from "../../lib/amqp/types/field_value.ts";
import type { Filter } from "../../lib/filter/filter.ts";
import type { FilterMessage } from "../../lib/filter/message.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { visible } from "../app/text.ts";
import type { QueueWriter } from "../brokers/records.ts";
import type { Output } from "../io/output.ts";
import { timestamp } from "../records/time.ts";

/** The exchange of RabbitMQ's firehose (https://www.rabbitmq.com/firehose.html). */
export const TRACE = "amq.rabbitmq.trace";

/** The kinds of events. RabbitMQ has the first two. */
const EVENTS = ["publish", "deliver", "ack", "requeue", "reject"] as const;

/** Which events are wanted. */
export interface TraceOptions {
  /** Only what concerns this queue. */
  readonly queue?: string | undefined;
  /** Only what a client does whose user or connection contains this text. */
  readonly connection?: string | undefined;
}

/** An event. What a broker does not report is undefined. */
interface TraceEvent {
  readonly event: typeof EVENTS[number];
  /** Of `publish`: the exchange, the routing key, and the queues with the positions of the message. */
  readonly exchange?: string;
  readonly key?: string;
  readonly queues?: readonly (readonly [queue: string, position: string | undefined])[];
  /** Of other events: the queue, and the position of the message in it. */
  readonly queue?: string;
  readonly position?: string | undefined;
  readonly redelivered?: boolean;
  readonly user: string | undefined;
  /** The connection of the client that published the message, or gets it: `its address -> the broker's address`. */
  readonly connection: string | undefined;
  readonly messageId: string | undefined;
}

/** The binding keys for the trace exchange. */
export function traceKeys({ queue }: TraceOptions): string[] {
  // The key of an event may have been shortened, and a name may have the signs of patterns: those are tested here.
  const exact = queue === undefined || utf8(queue).length > 200 || /[*#]/.test(queue) ? "#" : queue;
  return ["publish.#", `deliver.${exact}`, "ack.#", "requeue.#", "reject.#"];
}

/** The test for the wanted events. */
export function traceFilter({ queue, connection }: TraceOptions): Filter {
  return {
    text: "",
    matches(message: FilterMessage) {
      const { properties, propertiesStart, propertiesEnd } = message;
      const event = eventOf(message.topic() ?? "", properties.subarray(propertiesStart, propertiesEnd));
      if (connection !== undefined) {
        const client = `${event.user ?? ""} ${event.connection ?? ""}`;
        if (!client.includes(connection)) return false;
      }
      if (queue === undefined) return true;
      return event.queue === queue || event.queues?.some(([name]) => name === queue) === true;
    },
  };
}

/** Writes events as lines of text, or of JSON. */
export function traceWriter(output: Output, json: boolean): QueueWriter {
  return ({ routingKey, content }) => {
    const { properties, propertiesEnd, bodyStart, bodyEnd } = content;
    const event = eventOf(routingKey, properties.subarray(0, propertiesEnd));
    const size = bodyEnd - bodyStart;
    output.append(utf8(`${visible(json ? recordOf(event, size) : lineOf(event, size))}\n`));
  };
}

function eventOf(key: string, properties: Uint8Array): TraceEvent {
  const headers = decodeProperties(properties).headers ?? {};
  const event = EVENTS.find((event) => key.startsWith(`${event}.`)) ?? "publish";
  const name = key.slice(event.length + 1);
  const original = headers["properties"];
  const common = {
    event,
    user: textOf(headers["user"]),
    connection: textOf(headers["connection"]),
    messageId: isTable(original) ? textOf(original["message_id"]) : undefined,
  };
  if (event !== "publish") {
    const redelivered = headers["redelivered"] === 1;
    return { ...common, queue: name, position: textOf(headers["mqcat_position"]), redelivered };
  }
  const positions = headers["mqcat_positions"];
  return {
    ...common,
    exchange: textOf(headers["exchange_name"]) ?? name,
    key: listOf(headers["routing_keys"])[0] ?? "",
    queues: listOf(headers["routed_queues"])
      .map((queue) => [queue, isTable(positions) ? textOf(positions[queue]) : undefined]),
  };
}

function lineOf(event: TraceEvent, size: number): string {
  const parts = [timestamp(), event.event.padEnd(7)];
  if (event.event === "publish") {
    const queues = event.queues!.map(([queue, position]) => placeOf(queue, position));
    parts.push(`${event.exchange === "" ? "(default)" : event.exchange} ${event.key}`);
    parts.push(`-> ${queues.join(", ") || "no queue"}`);
  } else parts.push(placeOf(event.queue!, event.position));
  // A report of an outcome has no body.
  if (event.event === "publish" || event.event === "deliver") {
    parts.push(size === 1 ? "1 byte" : `${size} bytes`);
  }
  if (event.messageId !== undefined) parts.push(`id ${event.messageId}`);
  if (event.redelivered) parts.push("redelivered");
  if (event.user !== undefined) {
    const address = event.connection === undefined ? "" : ` ${event.connection.split(" -> ")[0]}`;
    parts.push(`${event.event === "deliver" ? "to" : "by"} ${event.user}${address}`);
  }
  return parts.join("  ");
}

function placeOf(queue: string, position: string | undefined): string {
  return position === undefined ? queue : `${queue}#${position}`;
}

function recordOf(event: TraceEvent, size: number): string {
  const { queues, messageId, event: name, ...rest } = event;
  const hasBody = name === "publish" || name === "deliver";
  return JSON.stringify({
    time: timestamp(),
    event: name,
    ...rest,
    queues: queues?.map(([queue, position]) => ({ queue, position })),
    message_id: messageId,
    size: hasBody ? size : undefined,
  });
}

function isTable(value: FieldValue | undefined): value is FieldTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Uint8Array);
}

function textOf(value: FieldValue | undefined): string | undefined {
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return typeof value === "string" ? value : undefined;
}

function listOf(value: FieldValue | undefined): string[] {
  return Array.isArray(value) ? value.flatMap((item) => textOf(item) ?? []) : [];
}
