import type { Files } from "./files.ts";
import { checkSum, RECORD_HEAD, type RecordView } from "../format/record.ts";
import type { Segment } from "../segment.ts";

/** The number of windows, and their maximum size in bytes. */
const WINDOWS = 16;
const LARGEST = 256 * 1024;
/** The size of a window for a read that does not continue a previous one, in bytes. */
const SMALLEST = 8 * 1024;
/** A read continues a window when it skips at most this many bytes. */
const SKIP = 64 * 1024;

interface Window {
  segment: Segment | undefined;
  /** The offset in the segment, and the number of bytes. */
  start: number;
  length: number;
  bytes: Uint8Array;
  view: DataView;
  /** The number of the last read that used it. */
  used: number;
}

/**
 * Reads records of segments that are not in memory, through a few windows with read-ahead. Sequential reads enlarge a
 * window; random reads keep it small. There is one extra window for a record that is larger than the maximum size.
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
   * @returns false when the record is damaged
   * @throws {Error} a file system error
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
    // The record is larger than the window, or its length is wrong.
    if (offset + length > segment.end) return false;
    if (length <= LARGEST) {
      this.#fill(window, segment, offset, LARGEST);
      return check(window, segment, offset, record);
    }
    const large = this.#large;
    if (large.segment !== segment || large.start !== offset) this.#fill(large, segment, offset, length);
    return check(large, segment, offset, record);
  }

  /** Drops the windows of a segment that was deleted. */
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

/** Sets `record` and checks its sum. */
function check(window: Window, segment: Segment, offset: number, record: RecordView): boolean {
  const start = offset - window.start;
  return record.set(window.bytes, window.view, start, window.length) &&
    checkSum(window.view, start, record.end, segment.salt);
}

function newWindow(): Window {
  const bytes = new Uint8Array(0);
  return { segment: undefined, start: 0, length: 0, bytes, view: new DataView(bytes.buffer), used: 0 };
}
