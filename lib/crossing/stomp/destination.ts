import { readText, textLength, writeText } from "../../bytes/text.ts";
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
const REPLY_QUEUE = "/reply-queue/";
const PREFIXES = ["/exchange", "/topic", "/queue", "/amq/queue", REPLY_QUEUE];

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
  return PREFIXES.some((prefix) => replyTo.startsWith(prefix)) ? replyTo : `${REPLY_QUEUE}${replyTo}`;
}

/** Returns the property `reply_to` for the header of a MESSAGE frame: the name of a queue, or a destination. */
export function parseReplyTo(header: string): string {
  return header.startsWith(REPLY_QUEUE) ? header.slice(REPLY_QUEUE.length) : header;
}

/** The address of a message in AMQP's terms. */
export interface MessageAddress {
  readonly exchange: string;
  readonly routingKey: string;
}

/**
 * Returns the address of a delivered message. A destination that has none of RabbitMQ's forms is the routing key itself:
 * other brokers have other forms.
 */
export function parseAddress(destination: string): MessageAddress {
  const [first, type, name, key, ...rest] = destination.split("/");
  if (first === "" && name !== undefined && name !== "" && rest.length === 0) {
    if (type === "queue" && key === undefined) return { exchange: "", routingKey: decode(name) };
    if (type === "topic" && key === undefined) return { exchange: TOPICS, routingKey: decode(name) };
    if (type === "exchange") return { exchange: decode(name), routingKey: decode(key ?? "") };
  }
  return { exchange: "", routingKey: destination };
}

/**
 * Returns the destination for a message. A routing key that begins with a slash is a destination itself, unless there is
 * an exchange.
 *
 * @param declares whether the server may declare the queue: the destination is `/queue/NAME` instead of
 * `/amq/queue/NAME`
 */
export function destinationFor(exchange: string, routingKey: string, declares: boolean): string {
  if (exchange === TOPICS && routingKey !== "") return `/topic/${escapeSlash(routingKey)}`;
  if (exchange !== "") {
    const path = `/exchange/${escapeSlash(exchange)}`;
    return routingKey === "" ? path : `${path}/${escapeSlash(routingKey)}`;
  }
  if (routingKey.startsWith("/")) return routingKey;
  return `${declares ? "/queue/" : "/amq/queue/"}${escapeSlash(routingKey)}`;
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

function escapeSlash(text: string): string {
  return text.replaceAll("/", "%2F");
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

/** Undoes `escape`: each escape is a byte. */
function decode(text: string): string {
  if (!text.includes("%")) return text;
  const bytes = new Uint8Array(textLength(text));
  const end = writeText(text, bytes, 0);
  let at = 0;
  for (let from = 0; from < end; from++) {
    const digits = bytes[from] === PERCENT ? readText(bytes, from + 1, Math.min(end, from + 3)) : "";
    const isEscape = /^[0-9A-F]{2}$/i.test(digits);
    bytes[at++] = isEscape ? parseInt(digits, 16) : bytes[from]!;
    if (isEscape) from += 2;
  }
  return readText(bytes, 0, at);
}

const PERCENT = 37;
