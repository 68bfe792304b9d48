/** The versions of STOMP, the oldest first (https://stomp.github.io). */
export const VERSIONS = ["1.0", "1.1", "1.2"] as const;

/** A version of STOMP. */
export type StompVersion = typeof VERSIONS[number];

/** A received frame (STOMP 1.2, "STOMP Frames"). A decoder reuses the object and its bytes for each frame. */
export class StompFrame {
  /** For example `SEND`. */
  command = "";
  /** The headers in the order of the wire. Of repeated headers, only the first is kept ("Repeated Header Entries"). */
  readonly headers: Map<string, string> = new Map();
  /** The body is `body[bodyStart, bodyEnd)`. */
  body: Uint8Array = NOTHING;
  bodyStart = 0;
  bodyEnd = 0;

  /** Returns a header; undefined if it is missing. */
  get(name: string): string | undefined {
    return this.headers.get(name);
  }

  /** Removes the content. */
  clear(): void {
    this.command = "";
    this.headers.clear();
    this.body = NOTHING;
    this.bodyStart = this.bodyEnd = 0;
  }
}

const NOTHING = new Uint8Array(0);

/** Whether frames with this command have a body; others end at the first NUL ("STOMP Frames"). */
export function hasBody(command: string): boolean {
  return command === "SEND" || command === "MESSAGE" || command === "ERROR";
}

/** The limits of received frames. */
export interface StompLimits {
  /** The largest body, in bytes. */
  readonly maxBody: number;
  /** The longest header line, in bytes. Default: 65536. */
  readonly maxLine?: number | undefined;
  /** The largest number of headers, with repeated ones. Default: 1000. */
  readonly maxHeaders?: number | undefined;
  /** The largest size of all headers of a frame, in bytes. Default: 262144. */
  readonly maxHead?: number | undefined;
}
