import { copyBytes, FrameBuffer } from "../bytes/frame_buffer.ts";
import { writeText } from "../bytes/text.ts";
import { escape } from "./escapes.ts";
import type { StompVersion } from "./frame.ts";

const LF = 10;
const COLON = 58;
const NOTHING = new Uint8Array(0);

/**
 * Encodes frames back to back into one growing buffer, to be written in large blocks. A frame is `begin`, any number of
 * `header`, `end`. A NUL in a header cannot be encoded and is left out.
 */
export class StompEncoder {
  /** The encoded frames. */
  readonly out: FrameBuffer = new FrameBuffer();
  /** The version that decides how headers are escaped. */
  version: StompVersion = "1.0";
  /** Whether the headers of the current frame have no escapes: CONNECT and CONNECTED. */
  #plain = false;

  /** Begins a frame. */
  begin(command: string): void {
    const { out } = this;
    this.#plain = command === "CONNECT" || command === "CONNECTED";
    const at = out.reserve(command.length + 1);
    const next = writeText(command, out.bytes, at);
    out.bytes[next] = LF;
    out.length = next + 1;
  }

  /** Adds a header. */
  header(name: string, value: string): void {
    const { out, version } = this;
    const left = this.#plain ? plain(name) : escape(name, version, true);
    const right = this.#plain ? plain(value) : escape(value, version, false);
    let at = out.reserve(3 * (left.length + right.length) + 2);
    at = writeText(left, out.bytes, at);
    out.bytes[at++] = COLON;
    at = writeText(right, out.bytes, at);
    out.bytes[at++] = LF;
    out.length = at;
  }

  /** Ends the frame with a body, which is `body[start, end)`. Its length is the last header, unless it is empty. */
  end(body: Uint8Array = NOTHING, start = 0, end: number = body.length): void {
    const { out } = this;
    const size = end - start;
    if (size > 0) this.header("content-length", String(size));
    let at = out.reserve(size + 3);
    const { bytes } = out;
    bytes[at++] = LF;
    at = copyBytes(body, start, end, bytes, at);
    bytes[at++] = 0;
    // An end of line makes frames readable in a terminal; receivers ignore it.
    bytes[at++] = LF;
    out.length = at;
  }

  /** Encodes a whole frame. */
  frame(command: string, headers: Iterable<readonly [name: string, value: string]>, body?: Uint8Array): void {
    this.begin(command);
    for (const [name, value] of headers) this.header(name, value);
    this.end(body);
  }

  /** Encodes a heart-beat, which is an end of line ("Heart-beating"). */
  heartbeat(): void {
    const at = this.out.reserve(1);
    this.out.bytes[at] = LF;
    this.out.length = at + 1;
  }
}

/** Removes the characters that would end a header without escapes. */
function plain(text: string): string {
  return text.replaceAll(/[\n\r\0]/g, "");
}
