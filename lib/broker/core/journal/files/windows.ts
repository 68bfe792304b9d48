import type { Files } from "./files.ts";
import { checkSum, RECORD_HEAD, type RecordView } from "../format/record.ts";
import type { Segment } from "../segment.ts";

/** How many windows there are, and how large they become, in bytes. */
const WINDOWS = 16;
const LARGEST = 256 * 1024;
/** The size for a read that does not go on from another one. */
const SMALLEST = 8 * 1024;
/** A read goes on from a window when it skips no more than this, in bytes. */
const SKIP = 64 * 1024;

interface Window {
  segment: Segment | undefined;
  /** Where in the segment it begins, and how many bytes it has. */
  start: number;
  length: number;
  bytes: Uint8Array;
  view: DataView;
  /** When it was used, in reads. */
  used: number;
}

/**
 * Reads records of segments that are no longer in memory, through a few windows with read-ahead: reading on makes a
 * window larger, reading at random keeps it small. A record larger than a window has one of its own, and there is one
 * of those.
 */
export class Windows {
  readonly #files: Files;
  readonly #windows: Window[] = [];
  #large: Window = newWindow();
  #reads = 0;

  constructor(files: Files) {
    this.#files = files;
  }

  /**
   * Sets `record` to the record at `offset`.
   *
   * @returns false when it is damaged
   * @throws {Error} of the file system
   */
  read(segment: Segment, offset: number, record: RecordView): boolean {
    const now = ++this.#reads;
    let oldest: Window | undefined;
    let before: Window | undefined;
    for (const window of this.#windows) {
      if (window.segment === segment) {
        const at = offset - window.start;
        if (at >= 0 && at + RECORD_HEAD <= window.length) {
          window.used = now;
          const end = at + RECORD_HEAD + window.view.getUint32(at, true);
          if (end <= window.length) return check(window, segment, offset, record);
          before = window;
        } else if (at >= 0 && at <= window.length + SKIP) before = window;
      }
      if (oldest === undefined || window.used < oldest.used) oldest = window;
    }
    let window = before;
    let size = SMALLEST;
    if (window !== undefined) size = Math.max(SMALLEST, Math.min(LARGEST, 2 * window.length));
    else if (this.#windows.length < WINDOWS) this.#windows.push(window = newWindow());
    else window = oldest!;
    this.#fill(window, segment, offset, size);
    window.used = now;
    const length = RECORD_HEAD + (window.length < RECORD_HEAD ? 0 : window.view.getUint32(0, true));
    if (length <= window.length) return check(window, segment, offset, record);
    // It is larger than the window, or than the file.
    if (offset + length > segment.end) return false;
    if (length <= LARGEST) {
      this.#fill(window, segment, offset, LARGEST);
      return check(window, segment, offset, record);
    }
    const large = this.#large;
    if (large.segment !== segment || large.start !== offset) this.#fill(large, segment, offset, length);
    return check(large, segment, offset, record);
  }

  /** The segment is in memory again, or gone. */
  forget(segment: Segment): void {
    for (const window of this.#windows) if (window.segment === segment) window.segment = undefined;
    if (this.#large.segment === segment) this.#large = newWindow();
  }

  #fill(window: Window, segment: Segment, offset: number, size: number): void {
    window.segment = undefined;
    if (window.bytes.length < size || size > LARGEST) {
      window.bytes = new Uint8Array(size);
      window.view = new DataView(window.bytes.buffer);
    }
    const length = Math.max(0, Math.min(size, segment.end - offset));
    window.length = this.#files.read(segment.number, window.bytes, offset, length);
    window.start = offset;
    window.segment = segment;
  }
}

/** Records that no sum protects are of this process, and were in memory. */
function check(window: Window, segment: Segment, offset: number, record: RecordView): boolean {
  const start = offset - window.start;
  return record.set(window.bytes, window.view, start, window.length) &&
    (segment.transient || checkSum(window.view, start, record.end, segment.salt));
}

function newWindow(): Window {
  const bytes = new Uint8Array(0);
  return { segment: undefined, start: 0, length: 0, bytes, view: new DataView(bytes.buffer), used: 0 };
}
