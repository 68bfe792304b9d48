/** The messages of the input for a broker: their bodies, and their envelopes. */
import type { Bodies, Envelope } from "../../lib/link/message.ts";
import { type BasicProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { readText } from "../../lib/bytes/text.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { stdinReader } from "../io/prompt.ts";
import { Input, type Source } from "../io/input.ts";
import { type PacingOptions, repeats } from "../io/pacer.ts";
import { sourceOf, type SourceOptions } from "../io/source.ts";
import { RecordError } from "../records/json.ts";
import { framingOf, splitterFor } from "../records/splitter.ts";
import { type Defaults, envelopeOf, parseProperty, parseRecord } from "./records.ts";

/** Messages that are ready to be published. */
export interface Packed {
  readonly bodies: Bodies;
  readonly count: number;
  readonly envelopes: Envelope | readonly Envelope[];
  /** The error that follows these messages. */
  readonly failure?: Error;
}

/** Converts the input to messages. */
export type Pack = (batch: Batch) => Packed;

/** The values of the options for the messages of a command that sends to brokers. */
export interface MessageValues extends SourceOptions, Partial<PacingOptions> {
  readonly header: readonly (readonly [name: string, value: string])[];
  readonly property: readonly string[];
  /** The separator of topic and body in lines. */
  readonly separator?: string | undefined;
}

/** Where messages go. */
export type Destination = Pick<Defaults, "exchange" | "queue" | "topic">;

/**
 * The source of messages that the options name, and how its messages are packed.
 *
 * @param usual the properties of messages for which nothing else is said
 * @param repeat whether `-D` and `-F` are sent repeatedly
 * @throws {UsageError} the options contradict each other
 */
export function messagesOf(
  session: Session,
  values: MessageValues,
  to: Destination,
  usual: BasicProperties = { deliveryMode: 2 },
  repeat: boolean = repeats(values),
): { source: Source; pack: Pack } {
  const properties = { ...usual, ...propertiesOf(values) };
  const separator = values.separator === undefined ? undefined : utf8(values.separator);
  const isFixed = values.data.length + values.file.length > 0;
  const isJson = framingOf("--in", values.in, values) === "json" && !isFixed;
  if (isJson && separator === undefined) {
    return {
      source: new Input(stdinReader(session), splitterFor("lines", {})),
      pack: packRecords({ ...to, properties }),
    };
  }
  const source = sourceOf(session, values, repeat, { separator });
  const encoded = encodeProperties(properties);
  const envelope = { exchange: to.exchange, routingKey: to.queue ?? to.topic ?? "", properties: encoded };
  return { source, pack: separator === undefined ? packPlain(envelope) : packKeyed(envelope) };
}

/**
 * The properties that the options request for all messages.
 *
 * @throws {UsageError} there is no such property, or it has another type
 */
export function propertiesOf(
  { property, header }: Pick<MessageValues, "property" | "header">,
): BasicProperties {
  const properties: BasicProperties = {};
  for (const given of property) {
    try {
      Object.assign(properties, Object.fromEntries([parseProperty(given)]));
    } catch (error) {
      throw new UsageError(`--property '${given}': ${phrase(error)}`);
    }
  }
  if (header.length > 0) properties.headers = Object.fromEntries(header);
  return properties;
}

/** Treats every frame as a body; all messages have the same envelope. */
export function packPlain(envelope: Envelope): Pack {
  return (batch) => ({ bodies: batch, count: batch.frames, envelopes: envelope });
}

/** Treats the first of two frames as the topic of its message. */
function packKeyed(usual: Envelope): Pack {
  return (batch) => {
    const starts: number[] = [];
    const ends: number[] = [];
    const envelopes: Envelope[] = [];
    let last = usual;
    for (let i = 0; i < batch.frames; i++) {
      let envelope = usual;
      if (batch.flags[i] !== 0) {
        const routingKey = readText(batch.bytes, batch.starts[i]!, batch.ends[i]!);
        i++;
        // Messages of one topic often follow each other.
        if (routingKey !== last.routingKey) last = { ...usual, routingKey };
        envelope = last;
      }
      starts.push(batch.starts[i]!);
      ends.push(batch.ends[i]!);
      envelopes.push(envelope);
    }
    return { bodies: { bytes: batch.bytes, starts, ends }, count: starts.length, envelopes };
  };
}

/** Treats every frame as a line with a JSON record; empty lines are ignored. */
export function packRecords(defaults: Defaults): Pack {
  let line = 0;
  return (batch) => {
    const bodies: Uint8Array[] = [];
    const envelopes: Envelope[] = [];
    for (let i = 0; i < batch.frames; i++) {
      line++;
      const text = batch.frame(i);
      if (text.every((byte) => byte === 0x20 || byte === 0x0d)) continue;
      try {
        const record = parseRecord(text);
        envelopes.push(envelopeOf(record, defaults));
        bodies.push(record.body);
      } catch (error) {
        // The records before the invalid one are put first; then the error is reported.
        if (bodies.length > 0) {
          return { ...packed(bodies, envelopes), failure: recordError(line, error) };
        }
        throw recordError(line, error);
      }
    }
    return packed(bodies, envelopes);
  };
}

function recordError(line: number, error: unknown): RecordError {
  return new RecordError(`line ${line} of the input is not a JSON record: ${phrase(error)}`);
}

function packed(bodies: readonly Uint8Array[], envelopes: readonly Envelope[]): Packed {
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const body of bodies) {
    starts.push(at);
    ends.push(at += body.length);
  }
  return { bodies: { bytes: concat(bodies), starts, ends }, count: bodies.length, envelopes };
}
