/** Reads the fields of messages. Each part of a message is decoded at most once, and only if a test needs it. */
import { PROPERTY, PropertyScan } from "../amqp/property_scan.ts";
import type { FieldTable } from "../amqp/types/field_value.ts";
import { readUint64 } from "../amqp/types/uint.ts";
import { readText } from "../bytes/text.ts";
import { FilterLimitError } from "./filter_error.ts";
import type { FilterMessage } from "./message.ts";
import { type Field, PROPERTY_NAMES } from "./syntax.ts";
import { memberAt, numberOf } from "./values.ts";

/** From this number of seconds on (the year 5138), a timestamp is in milliseconds, as some clients write it. */
const LEAST_MS = 1e11;

/** The header in which RabbitMQ's message interceptor notes the time, in milliseconds. */
const TIME_HEADER = "timestamp_in_ms";

/** The fields of one message at a time. The object is reused. */
export class Fields {
  readonly #maxBody: number;
  readonly #scan = new PropertyScan();
  #message!: FilterMessage;
  #now: number | undefined;
  /** Undefined: not scanned yet; false: there are no properties, or they are malformed. */
  #scanned: boolean | undefined;
  /** Undefined: not decoded yet; null: there are none, or they are malformed. */
  #headers: FieldTable | null | undefined;
  #body: string | undefined;
  #json: { readonly value: unknown } | undefined;

  /** @param maxBody the size of the largest body that is decoded */
  constructor(maxBody: number) {
    this.#maxBody = maxBody;
  }

  /** Sets the message. `now` is in milliseconds since 1970. */
  of(message: FilterMessage, now: number | undefined): void {
    this.#message = message;
    this.#now = now;
    this.#scanned =
      this.#headers =
      this.#body =
      this.#json =
        undefined;
  }

  get message(): FilterMessage {
    return this.#message;
  }

  /** The size of the body, in bytes. */
  get size(): number {
    return this.#message.bodyEnd - this.#message.bodyStart;
  }

  /** @throws {FilterLimitError} the body is too large */
  get body(): string {
    const { body, bodyStart, bodyEnd } = this.#message;
    if (this.size > this.#maxBody) throw new FilterLimitError(this.size, this.#maxBody);
    return this.#body ??= readText(body, bodyStart, bodyEnd);
  }

  /** The body as JSON; undefined if it is not JSON. @throws {FilterLimitError} the body is too large */
  get json(): unknown {
    return (this.#json ??= { value: parseJson(this.body) }).value;
  }

  /** The headers; undefined if there are none. */
  get headers(): FieldTable | undefined {
    if (this.#headers === undefined) this.#headers = this.#readHeaders();
    return this.#headers ?? undefined;
  }

  /** The time since the message was published, in milliseconds; undefined if the message does not have the time. */
  get age(): number | undefined {
    const now = this.#now ??= Date.now();
    const exact = this.#scanProperties() && this.#scan.headersMention(TIME_HEADER)
      ? numberOf(this.headers?.[TIME_HEADER])
      : undefined;
    if (exact !== undefined) return now - Number(exact);
    const seconds = this.property("timestamp") as number | undefined;
    if (seconds === undefined) return undefined;
    return now - (seconds < LEAST_MS ? seconds * 1000 : seconds);
  }

  /** A property; undefined if the message does not have it. */
  property(name: keyof typeof PROPERTY): string | number | undefined {
    if (!this.#scanProperties() || !this.#scan.has(PROPERTY[name])) return undefined;
    switch (name) {
      case "headers":
        return undefined;
      case "deliveryMode":
        return this.#scan.deliveryMode;
      case "priority":
        return this.#scan.priority;
      case "timestamp":
        return readUint64(this.#message.properties, this.#scan.starts[PROPERTY.timestamp]!);
      default:
        return this.#scan.text(PROPERTY[name]);
    }
  }

  #scanProperties(): boolean {
    if (this.#scanned === undefined) {
      const { properties, propertiesStart, propertiesEnd } = this.#message;
      try {
        this.#scanned = propertiesEnd > propertiesStart;
        if (this.#scanned) this.#scan.read(properties, propertiesStart, propertiesEnd);
      } catch {
        this.#scanned = false;
      }
    }
    return this.#scanned;
  }

  #readHeaders(): FieldTable | null {
    if (!this.#scanProperties()) return null;
    try {
      return this.#scan.headers() ?? null;
    } catch {
      return null;
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the function that reads a field. It returns undefined if the message does not have the field. */
export function readerOf({ name, path }: Field): (fields: Fields) => unknown {
  switch (name) {
    case "topic":
      return ({ message }) => message.topic();
    case "exchange":
      return ({ message }) => message.exchange();
    case "redelivered":
      return ({ message }) => message.redelivered;
    case "properties": {
      const property = PROPERTY_NAMES.get(path[0] as string)!;
      return (fields) => fields.property(property);
    }
    case "headers":
      return (fields) => memberAt(fields.headers, path);
    case "json":
      return (fields) => memberAt(fields.json, path);
    default:
      return (fields) => fields[name];
  }
}
