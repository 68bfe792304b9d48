import { messageOf } from "../errors.ts";
import type { ByteStream, FrameStream } from "../transport/stream.ts";
import type { StreamTap } from "../transport/tap.ts";
import { describeAmqp } from "./amqp.ts";
import { type Describer, type Direction, type Say, sizeText } from "./describer.ts";
import { describeMqtt } from "./mqtt.ts";
import { describeStomp } from "./stomp.ts";
import { describeZmtp } from "./zmtp.ts";

/** The letters that commands of STOMP from clients begin with: CONNECT and STOMP. Ends of lines may come first. */
const STOMP_STARTS = [..."CS\r\n"].map((letter) => letter.charCodeAt(0));

/**
 * Describes what passes a stream, one line for each frame: `-> 127.0.0.1:5672 AMQP basic.ack ch=1 delivery_tag=3`. The
 * protocol is known by the first byte. Of bytes that cannot be decoded, only sizes are shown.
 */
export class WireTap implements StreamTap {
  readonly #print: (line: string) => void;
  readonly #peer: string;
  readonly #say: Say;
  #describer: Describer | undefined;
  /** The directions of which only sizes are shown. */
  readonly #undecodable = new Set<Direction>();

  /** @param print writes a line; parts of it come from the peer, so control characters may occur */
  constructor(stream: ByteStream, print: (line: string) => void) {
    this.#print = print;
    this.#peer = stream.remote.replace(/^tcp:\/\//, "");
    this.#say = (direction, text) => this.#print(`${direction} ${this.#peer} ${text}`);
    const { subprotocol = "" } = stream as Partial<FrameStream>;
    if (subprotocol.startsWith("ZWS")) {
      this.#describer = describeZmtp(this.#say, subprotocol.split("/")[1] ?? "NULL");
    }
  }

  onSent(bytes: Uint8Array): void {
    this.#describe("->", bytes);
  }

  onReceived(bytes: Uint8Array): void {
    this.#describe("<-", bytes);
  }

  /** Never throws: the connection must not notice. */
  #describe(direction: Direction, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#undecodable.has(direction)) return this.#say(direction, sizeText(bytes.length));
    try {
      this.#describer ??= describerFor(bytes[0]!, this.#say);
      this.#describer[direction].push(bytes);
    } catch (error) {
      this.#undecodable.add(direction);
      this.#say(direction, `${sizeText(bytes.length)} (${messageOf(error)}: only sizes from here on)`);
    }
  }
}

/** @throws {Error} the protocol is not known */
function describerFor(first: number, say: Say): Describer {
  if (first === 0xff) return describeZmtp(say);
  if (first === 0x41) return describeAmqp(say);
  if (first === 0x10) return describeMqtt(say);
  if (STOMP_STARTS.includes(first)) return describeStomp(say);
  throw new Error("unknown protocol");
}
