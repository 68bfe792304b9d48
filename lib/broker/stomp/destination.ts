import { textLength, writeText } from "../../bytes/text.ts";
import { StompError } from "../../stomp/stomp_error.ts";

/** The kinds of destinations (https://www.rabbitmq.com/stomp.html#d). */
export type DestinationKind = "queue" | "exchange" | "topic" | "amqqueue" | "reply_queue" | "temp_queue";

/** A destination, as RabbitMQ reads it. */
export interface Destination {
  readonly kind: DestinationKind;
  /** The header, for errors. */
  readonly text: string;
  /** The exchange that messages are published to, and that queues of subscriptions are bound to; "" for queues. */
  readonly exchange: string;
  /** The routing key, or the name of the queue. */
  readonly key: string;
}

/** The exchange of topics. */
const TOPICS = "amq.topic";
const KNOWN = "/temp-queue, /exchange, /topic, /queue, /amq/queue, /reply-queue/";
/** An address for replies with one of these prefixes is a destination already. */
const PREFIXES = ["/exchange", "/topic", "/queue", "/amq/queue", "/reply-queue/"];

/** Parses the header `destination`. @throws {StompError} it is not a destination */
export function parseDestination(text: string): Destination {
  const parts = text.split("/");
  if (parts.length === 1) {
    if (text === "") throw new StompError("Invalid destination", "Destination cannot be blank");
    return { kind: "queue", text, exchange: "", key: unescape(text) };
  }
  const [first, type, ...rest] = parts;
  if (first === "") {
    switch (type) {
      case "queue":
        return named("queue", text, "", rest);
      case "topic":
        return named("topic", text, TOPICS, rest);
      case "temp-queue":
        return named("temp_queue", text, "", rest);
      case "exchange":
        return ofExchange(text, rest);
      case "amq":
        if (rest[0] === "queue") return named("amqqueue", text, "", rest.slice(1));
        break;
      case "reply-queue":
        // The name may contain slashes.
        if (rest.length > 0) return named("reply_queue", text, "", [rest.join("/")]);
    }
  }
  throw new StompError(
    "Unknown destination",
    `'${text}' is not a valid destination.\nValid destination types are: ${KNOWN}.\n`,
  );
}

/** Formats the destination of a delivered message. */
export function formatDestination(exchange: string, routingKey: string): string {
  if (exchange === "") return `/queue/${escape(routingKey)}`;
  if (exchange === TOPICS) return `/topic/${escape(routingKey)}`;
  return routingKey === ""
    ? `/exchange/${escape(exchange)}`
    : `/exchange/${escape(exchange)}/${escape(routingKey)}`;
}

/** Formats the property `reply_to` as a destination. */
export function formatReplyTo(replyTo: string): string {
  return PREFIXES.some((prefix) => replyTo.startsWith(prefix)) ? replyTo : `/reply-queue/${replyTo}`;
}

/** The error for a destination that the command does not accept. */
export function notFor({ text }: Destination, command: string): StompError {
  return new StompError("Invalid destination", `'${text}' is not a valid destination for '${command}'\n`);
}

function named(kind: DestinationKind, text: string, exchange: string, rest: readonly string[]): Destination {
  const [name] = rest;
  if (rest.length !== 1 || name === "") throw invalid(kind, rest);
  return { kind, text, exchange, key: unescape(name!) };
}

function ofExchange(text: string, rest: readonly string[]): Destination {
  const [name, key] = rest;
  if (rest.length > 2 || name === undefined || name === "") throw invalid("exchange", rest);
  return { kind: "exchange", text, exchange: unescape(name), key: unescape(key ?? "") };
}

function invalid(kind: DestinationKind, rest: readonly string[]): StompError {
  const content = rest.length === 0 ? "" : `/${rest.join("/")}`;
  return new StompError("Invalid destination", `'${content}' is not a valid ${kind} destination\n`);
}

/** As in RabbitMQ, only the slash can be escaped in what clients send. */
function unescape(text: string): string {
  return text.replaceAll("%2F", "/");
}

const SPECIAL = /[/%]|[^ -\x7f]/;

/** Escapes the slash, the percent sign, and all bytes that are not printable ASCII, as RabbitMQ does. */
function escape(text: string): string {
  if (!SPECIAL.test(text)) return text;
  let result = "";
  for (const char of text) {
    if (!SPECIAL.test(char)) result += char;
    else {
      const bytes = new Uint8Array(textLength(char));
      writeText(char, bytes, 0);
      for (const byte of bytes) result += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    }
  }
  return result;
}
