/** What a server said, as lines that are the same for two servers that behave the same. */
import { createHash } from "node:crypto";
import type { BasicProperties } from "../../../lib/amqp/properties.ts";
import { Decimal, type FieldValue, Timestamp, TypedNumber } from "../../../lib/amqp/types/field_value.ts";
import type { Peer, Received } from "./peer.ts";

/** A body up to this many bytes is shown, when it is text. */
const SHOWN = 200;
/** Times this near to now are those of the test, in seconds. */
const DAY = 86_400;
/** Names that the server makes up. */
const MADE_UP = /amq\.gen-[\w-]{22}|amq\.ctag-[\w-]{22}|amq\.rabbitmq\.reply-to\.[\w+/=.-]{20,}/g;

/** The lines of all connections, each with its channels in order; what is hidden is left out. */
export function transcriptOf(peers: readonly Peer[], nonce: string): string[] {
  const lines: string[] = [];
  for (const [index, peer] of peers.entries()) {
    const channels = [...new Set(peer.received.map(({ channel }) => channel))].sort((a, b) => a - b);
    for (const channel of channels) {
      const own = peer.received.filter((one) => one.channel === channel && !one.hidden);
      for (const one of inOrder(own)) {
        lines.push(`${index + 1}.${channel} ${lineOf(one)}`);
      }
    }
  }
  return named(lines, nonce);
}

/** Confirms that came in a row, by their tags: queues confirm in no certain order. */
function inOrder(received: readonly Received[]): Received[] {
  const list: Received[] = [];
  let run: Received[] = [];
  const flush = () => {
    list.push(...run.sort((a, b) => (a.args["deliveryTag"] as number) - (b.args["deliveryTag"] as number)));
    run = [];
  };
  for (const one of received) {
    if (one.name === "basic.ack" || one.name === "basic.nack") run.push(one);
    else {
      flush();
      list.push(one);
    }
  }
  flush();
  return list;
}

function lineOf({ name, args, properties, body }: Received): string {
  const parts: string[] = [name];
  for (const [field, value] of Object.entries(args)) parts.push(`${field}=${show(value as FieldValue)}`);
  if (properties !== undefined) {
    for (const [field, value] of Object.entries(properties as Required<BasicProperties>)) {
      parts.push(`${field}:${field === "timestamp" ? `${value}` : show(value as FieldValue)}`);
    }
  }
  if (body !== undefined) parts.push(showBody(body));
  return parts.join(" ");
}

/** A value with its type; the order of a table's names has no meaning. */
export function show(value: FieldValue): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `l${value}`;
  if (typeof value === "number") return Number.isInteger(value) ? `${value}` : `d${value}`;
  if (value === null || typeof value === "boolean") return `${value}`;
  if (value instanceof Uint8Array) return `x'${new TextDecoder("latin1").decode(value)}'`;
  if (value instanceof Timestamp) {
    return Math.abs(Number(value.seconds) - Date.now() / 1000) < DAY ? "<now>" : `T${value.seconds}`;
  }
  if (value instanceof Decimal) return `D${value.scale}:${value.value}`;
  if (value instanceof TypedNumber) return `${value.letter}${value.value}`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return `{${Object.keys(value).sort().map((name) => `${name}: ${show(value[name]!)}`).join(", ")}}`;
}

function showBody(body: Uint8Array): string {
  const text = new TextDecoder("latin1").decode(body);
  if (body.length <= SHOWN) return JSON.stringify(text);
  return `<${body.length} bytes ${createHash("sha256").update(body).digest("hex").slice(0, 12)}>`;
}

/** Takes out what differs between any two runs: the case's own prefix, and names that the server made up. */
function named(lines: readonly string[], nonce: string): string[] {
  const names = new Map<string, string>();
  return lines.map((line) =>
    line.replaceAll(nonce, "").replace(MADE_UP, (name) => {
      const kind = /^amq\.(gen-|ctag-|rabbitmq\.reply-to\.)/.exec(name)![0];
      const known = names.get(name) ?? `${kind}<${names.size + 1}>`;
      names.set(name, known);
      return known;
    })
  );
}
