import { ProtocolError } from "../errors.ts";
import { COMMAND, LONG, MORE } from "../zmtp/batch.ts";
import { text } from "../zmtp/bytes.ts";
import { parseCommand, parseError, parseMetadata, pingTtl } from "../zmtp/command.ts";
import { readLength } from "../zmtp/frame_decoder.ts";
import { checkSignature, decodeRest, MAJOR, REST_LENGTH, SIGNATURE_LENGTH } from "../zmtp/greeting.ts";
import { typeFromWire } from "../zmtp/socket_type.ts";
import {
  bodyText,
  type Describer,
  fieldsText,
  type Half,
  HIDDEN,
  isSecret,
  quoted,
  type Say,
  sizeText,
  wordText,
} from "./describer.ts";
import { UnitSplitter } from "./unit_splitter.ts";

const VERSION_AT = SIGNATURE_LENGTH;
const FULL_GREETING = SIGNATURE_LENGTH + 1 + REST_LENGTH;
/** The greeting of ZMTP 2.0: signature, revision, and type of the socket (RFC 15). */
const OLD_GREETING = SIGNATURE_LENGTH + 2;
const RESERVED = 0xff & ~(MORE | LONG | COMMAND);
/** How many frames of a message are shown. */
const SHOWN_FRAMES = 4;

/** What the two directions of a connection know of each other. */
interface Shared {
  mechanism: string;
  /** The lower of the major versions in the greetings so far. */
  major: number;
}

/**
 * Describes ZMTP 2.0 to 3.1 (RFC 15, 23, 37). Mechanisms other than NULL and PLAIN may encrypt: of their frames only names
 * and sizes are shown.
 *
 * @param mechanism the mechanism of a WebSocket's subprotocol (RFC 45), where there is no greeting
 */
export function describeZmtp(say: Say, mechanism?: string): Describer {
  const shared: Shared = { mechanism: mechanism ?? "NULL", major: MAJOR };
  const half = (direction: "->" | "<-"): Half => {
    const tell = (text: string) => say(direction, `ZMTP ${text}`);
    return new UnitSplitter(new ZmtpHalf(tell, shared, mechanism === undefined));
  };
  return { "->": half("->"), "<-": half("<-") };
}

class ZmtpHalf {
  readonly #tell: (text: string) => void;
  readonly #shared: Shared;
  #greets: boolean;
  /** Whether the next frame is the identity of ZMTP 2.0. */
  #identifies = false;
  /** The incomplete message. */
  #frames = 0;
  #size = 0;
  #shown: string[] = [];

  constructor(tell: (text: string) => void, shared: Shared, greets: boolean) {
    this.#tell = tell;
    this.#shared = shared;
    this.#greets = greets;
  }

  sizeOf(bytes: Uint8Array, length: number): number {
    if (this.#greets) return this.#greetingSize(bytes, length);
    const flags = bytes[0]!;
    if ((flags & RESERVED) !== 0) throw new ProtocolError("a frame has reserved flags");
    if ((flags & LONG) !== 0) return length < 9 ? 0 : 9 + readLength(bytes, 1);
    return length < 2 ? 0 : 2 + bytes[1]!;
  }

  #greetingSize(bytes: Uint8Array, length: number): number {
    checkSignature(bytes.subarray(0, Math.min(length, SIGNATURE_LENGTH)));
    // The peers continue in the older of their versions after they have seen both.
    if (length > VERSION_AT) this.#shared.major = Math.min(this.#shared.major, bytes[VERSION_AT]!);
    if (length < OLD_GREETING) return 0;
    return this.#shared.major < MAJOR ? OLD_GREETING : FULL_GREETING;
  }

  onUnit(bytes: Uint8Array, size: number): void {
    if (this.#greets) return this.#onGreeting(bytes);
    const flags = bytes[0]!;
    const start = (flags & LONG) !== 0 ? 9 : 2;
    const [body, bodySize] = [bytes.subarray(start), size - start];
    if (!["NULL", "PLAIN"].includes(this.#shared.mechanism)) this.#tell(nameAndSize(body, bodySize));
    else if ((flags & COMMAND) !== 0) this.#tell(commandText(body, bodySize));
    else if (this.#identifies) {
      this.#identifies = false;
      this.#tell(`identity ${bodyText(body, bodySize)}`);
    } else this.#onFrame(body, bodySize, (flags & MORE) !== 0);
  }

  #onGreeting(bytes: Uint8Array): void {
    this.#greets = false;
    if (bytes.length === OLD_GREETING) {
      this.#identifies = true;
      return this.#tell(`greeting 2.0 ${typeFromWire(bytes[VERSION_AT + 1]!)}`);
    }
    const { minor, mechanism, asServer } = decodeRest(bytes.subarray(VERSION_AT + 1));
    this.#shared.mechanism = mechanism;
    const server = asServer ? " as server" : "";
    this.#tell(`greeting ${bytes[VERSION_AT]}.${minor} ${wordText(mechanism)}${server}`);
  }

  #onFrame(body: Uint8Array, size: number, more: boolean): void {
    this.#frames++;
    this.#size += size;
    if (this.#frames <= SHOWN_FRAMES) this.#shown.push(quoted(body, size));
    if (more) return;
    const frames = `${this.#frames} frame${this.#frames === 1 ? "" : "s"}`;
    const rest = this.#frames > SHOWN_FRAMES ? " …" : "";
    this.#tell(`message ${frames} ${sizeText(this.#size)} ${this.#shown.join(" ")}${rest}`);
    this.#frames = this.#size = 0;
    this.#shown = [];
  }
}

/** The name of a command that may be encrypted. CURVE's MESSAGE has no flag of a command (RFC 26). */
function nameAndSize(body: Uint8Array, size: number): string {
  const name = /^[A-Z]+$/.exec(text(body.subarray(1, 1 + (body[0] ?? 0))))?.[0];
  return `${name ?? "frame"} ${sizeText(size)}`;
}

function commandText(body: Uint8Array, size: number): string {
  if (size > body.length) return nameAndSize(body, size);
  const { name, data } = parseCommand(body);
  switch (name) {
    case "READY":
    case "INITIATE":
      return `${name}${fieldsText(metadataOf(data))}`;
    case "HELLO":
      return `HELLO username=${quoted(data.subarray(1, 1 + (data[0] ?? 0)))} password=${HIDDEN}`;
    case "ERROR":
      return `ERROR ${JSON.stringify(parseError(data))}`;
    case "PING":
      return `PING ttl=${pingTtl(data)}ms`;
    case "SUBSCRIBE":
    case "CANCEL":
    case "JOIN":
    case "LEAVE":
      return `${name} ${quoted(data)}`;
    default:
      return `${wordText(name)} ${sizeText(data.length)}`;
  }
}

/** The metadata, with the names as the specification writes them: `Socket-Type`. */
function metadataOf(data: Uint8Array): Record<string, string> {
  return Object.fromEntries(
    [...parseMetadata(data)].map(([name, value]) => {
      const written = name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
      const shown = text(value);
      return [wordText(written), isSecret(name) ? HIDDEN : /^[\w-]+$/.test(shown) ? shown : quoted(value)];
    }),
  );
}
