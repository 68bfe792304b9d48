/** Generators for property tests: messages, their buffers, and chunks of a stream. */
import fc from "fast-check";
import { Batch, COMMAND, LONG, MORE } from "../../lib/zmtp/batch.ts";
import { concat } from "../../lib/zmtp/bytes.ts";

/** A body as a few numbers, so that fast-check can shrink it and failures are readable. */
export interface Body {
  readonly size: number;
  readonly seed: number;
}

export interface Frame extends Body {
  /** MORE or COMMAND. */
  readonly flags: number;
  /** Whether the length has 8 bytes although one byte is enough. */
  readonly long: boolean;
}

/** Sizes on both sides of every boundary in the code, most of them small. */
export const size: fc.Arbitrary<number> = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 4, arbitrary: fc.constantFrom(0, 1, 254, 255, 256, 257) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 3000 }) },
  { weight: 1, arbitrary: fc.constantFrom(32_767, 32_768, 65_535, 65_536, 65_537) },
);

const seed = fc.integer({ min: 0, max: 255 });

/** One message of one or more frames. With `commands`, command frames may precede, separate and follow them. */
export function frames(sizes: fc.Arbitrary<number>, commands: boolean): fc.Arbitrary<Frame[]> {
  const body = fc.record({ size: sizes, seed, long: fc.boolean() });
  const single = body.map((only) => [{ ...only, flags: 0 }]);
  const multi = fc.array(body, { minLength: 2, maxLength: 5 })
    .map((parts) => parts.map((part, i) => ({ ...part, flags: i < parts.length - 1 ? MORE : 0 })));
  const message = fc.oneof({ weight: 2, arbitrary: single }, { weight: 1, arbitrary: multi });
  if (!commands) return message;
  const command = body.map((only) => ({ ...only, flags: COMMAND }));
  return fc.tuple(message, fc.array(fc.tuple(fc.nat(5), command), { maxLength: 2 })).map(([plain, extra]) => {
    const mixed: Frame[] = [...plain];
    for (const [at, frame] of extra) mixed.splice(Math.min(at, mixed.length), 0, frame);
    return mixed;
  });
}

export function bytesOf({ size, seed }: Body): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (seed + i * 7 + (i >> 8)) & 255;
  return bytes;
}

/** Encodes a frame as in the RFC, without the code under test. */
export function wire(frame: Frame): Uint8Array {
  const { size, flags, long } = frame;
  const header = long || size > 255
    ? [flags | LONG, 0, 0, 0, 0, size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255]
    : [flags, size];
  return concat([Uint8Array.from(header), bytesOf(frame)]);
}

export function wireOf(frames: readonly Frame[]): Uint8Array {
  return concat(frames.map(wire));
}

/** The layout of the bodies of a batch in their buffer. */
export type Layout = "packed" | "spaced" | "backwards" | "shared first frame";

export const layout: fc.Arbitrary<Layout> = fc.constantFrom(
  "packed",
  "spaced",
  "backwards",
  "shared first frame",
);

/** Makes a batch of the frames in this layout; all bodies are in one buffer. */
export function batchOf(frames: readonly Frame[], how: Layout, stable: boolean): Batch {
  const bodies = frames.map(bytesOf);
  const batch = new Batch();
  batch.stable = stable;
  const places: number[] = [];
  const parts: Uint8Array[] = [];
  let at = 0;
  const put = (index: number) => {
    if (how === "spaced") {
      parts.push(new Uint8Array(3).fill(0x2c));
      at += 3;
    }
    places[index] = at;
    parts.push(bodies[index]!);
    at += bodies[index]!.length;
  };
  const order = frames.map((_, index) => index);
  if (how === "backwards") order.reverse();
  for (const index of order) {
    // The topic is in the buffer once, and is the first frame of every message.
    const same = how === "shared first frame"
      ? order.slice(0, index).find((i) => sameBody(frames[i]!, frames[index]!))
      : undefined;
    if (same === undefined) put(index);
    else places[index] = places[same]!;
  }
  batch.bytes = concat(parts);
  frames.forEach((frame, index) => batch.add(places[index]!, places[index]! + frame.size, frame.flags));
  return batch;
}

function sameBody(a: Body, b: Body): boolean {
  return a.size === b.size && a.seed === b.seed;
}

/** Lengths of chunks, used in turn: from single bytes to the whole input. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.oneof(
  fc.constant([1]),
  fc.constant([Infinity]),
  fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }),
  fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 6 }),
);

/** Splits `bytes` into chunks; single bytes only if that is fast. */
export function* pieces(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  const least = bytes.length > 20_000 ? 500 : 1;
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + Math.max(least, cuts[i % cuts.length]!));
    yield bytes.slice(at, end);
    at = end;
  }
}
