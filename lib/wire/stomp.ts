import { LimitError, ProtocolError } from "../errors.ts";
import { readText } from "../bytes/text.ts";
import { hasBody } from "../stomp/frame.ts";
import { MAX_HEAD } from "../stomp/frame_decoder.ts";
import { bodyText, type Describer, HIDDEN, isSecret, type Say, wordText } from "./describer.ts";

const LF = 10;
const CR = 13;
/** How many bytes of a body are kept. */
const KEPT_BODY = 64;

/** Describes STOMP 1.0 to 1.2. Headers are shown as they are on the wire, with their escapes. */
export function describeStomp(say: Say): Describer {
  return {
    "->": new StompHalf((text) => say("->", `STOMP ${text}`)),
    "<-": new StompHalf((text) => say("<-", `STOMP ${text}`)),
  };
}

/** Splits one direction into heads and bodies. A body is counted; only its first bytes are kept. */
class StompHalf {
  readonly #tell: (text: string) => void;
  #state: "between" | "head" | "body" = "between";
  /** Whether the next end of a line follows a frame, where it is no heart-beat. */
  #afterFrame = true;
  #head: number[] = [];
  /** The description of the head. */
  #described = "";
  #hasBody = false;
  /** The announced size of the body; undefined if it ends at the first NUL. */
  #announced: number | undefined;
  readonly #body = new Uint8Array(KEPT_BODY);
  #size = 0;

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#state === "between") this.#between(bytes[at++]!);
      else if (this.#state === "head") this.#onHead(bytes[at++]!);
      else at = this.#onBody(bytes, at);
    }
  }

  #between(byte: number): void {
    if (byte === CR || byte === 0) return;
    if (byte === LF) {
      if (!this.#afterFrame) this.#tell("heart-beat");
      this.#afterFrame = false;
    } else if (byte < 0x41 || byte > 0x5a) throw new ProtocolError("a frame has no command");
    else {
      this.#head = [byte];
      this.#state = "head";
    }
  }

  #onHead(byte: number): void {
    if (byte === 0) throw new ProtocolError("the headers contain a NUL");
    if (byte === CR) return;
    if (byte !== LF || this.#head.at(-1) !== LF) {
      if (this.#head.length === MAX_HEAD) throw new LimitError("the headers are too long");
      return void this.#head.push(byte);
    }
    const [command, ...lines] = readText(Uint8Array.from(this.#head), 0, this.#head.length - 1).split("\n");
    this.#head = [];
    if (!/^[A-Z]{1,32}$/.test(command!)) throw new ProtocolError("a frame has no command");
    const headers = lines.map((line) => /^([^:]*):?([^]*)$/.exec(line)!.slice(1) as [string, string]);
    this.#described = command + headers.map(([name, value], at) => {
      // Without a colon it may be anything, also the password.
      if (!lines[at]!.includes(":")) return " (a header without a colon)";
      return ` ${wordText(name)}=${isSecret(name) ? HIDDEN : wordText(value)}`;
    }).join("");
    this.#hasBody = hasBody(command!);
    const length = headers.find(([name]) => name === "content-length")?.[1];
    this.#announced = this.#hasBody && length !== undefined && /^\d+$/.test(length)
      ? Number(length)
      : undefined;
    this.#size = 0;
    this.#state = "body";
  }

  /** Processes a part of the body, or the NUL after it, and returns the position after that. */
  #onBody(bytes: Uint8Array, at: number): number {
    const nul = this.#announced === undefined ? bytes.indexOf(0, at) : at + this.#announced - this.#size;
    const end = nul < 0 ? bytes.length : Math.min(nul, bytes.length);
    if (this.#size < KEPT_BODY) {
      this.#body.set(bytes.subarray(at, Math.min(end, at + KEPT_BODY - this.#size)), this.#size);
    }
    this.#size += end - at;
    if (end === bytes.length) return end;
    if (bytes[end] !== 0) throw new ProtocolError("the body is longer than its content-length");
    const body = this.#body.subarray(0, Math.min(this.#size, KEPT_BODY));
    this.#tell(this.#hasBody ? `${this.#described} ${bodyText(body, this.#size)}` : this.#described);
    this.#state = "between";
    this.#afterFrame = true;
    return end + 1;
  }
}
