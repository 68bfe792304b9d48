/** The STOMP decoder: frames that are cut anywhere, exact limits, and sinks that are over their backlog. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitError, ProtocolError } from "../../../lib/errors.ts";
import { StompDecoder, type StompSink } from "../../../lib/stomp/frame_decoder.ts";
import { notStomp } from "../../../lib/stomp/not_stomp.ts";
import type { StompLimits } from "../../../lib/stomp/frame.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A decoder, and the frames that it has reported: command, headers and body. */
function decoderOf(limits: StompLimits = { maxBody: 1000 }, more: Partial<StompSink> = {}) {
  const frames: unknown[] = [];
  const sink: StompSink = {
    onFrame: ({ command, headers, body, bodyStart, bodyEnd }) =>
      void frames.push([
        command,
        [...headers].flat().join(),
        new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)),
      ]),
    ...more,
  };
  const decoder = new StompDecoder(sink, limits);
  decoder.version = "1.2";
  return { decoder, frames, sink: sink as StompSink & { overBacklog: boolean } };
}

/** Decodes text in chunks that end at these positions. */
function decode(text: string, cuts: readonly number[], limits?: StompLimits): unknown[] {
  const { decoder, frames } = decoderOf(limits);
  const bytes = utf8(text);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    // A chunk is valid during the call only.
    const chunk = bytes.slice(from, to);
    decoder.push(chunk);
    chunk.fill(0xee);
    from = to;
  }
  return frames;
}

describe("STOMP decoder, cuts", () => {
  /** What is between frames, and frames with what they mean, in turns. */
  const parts: [between: string, frame: string, meaning: unknown][] = [
    ["\0\n\r\n\r", "SEND\r\na:b\r\ncontent-length:3\r\n\r\na\0b\0", ["SEND", "a,b,content-length,3", "a\0b"]],
    ["", "ACK\nid:1\n\n\0", ["ACK", "id,1", ""]],
    ["\0", "MESSAGE\n\nxyz\0", ["MESSAGE", "", "xyz"]],
    ["", "MESSAGE\ncontent-length:0\n\n\0", ["MESSAGE", "content-length,0", ""]],
    ["", "SEND\n:k:v\n\n\0", ["SEND", ",k:v", ""]],
    ["", "A~\nk:1\nk:2\n\n\0", ["A~", "k,1", ""]],
    ["\n\n", "ERROR\nmessage:é\n\nmore\n\0", ["ERROR", "message,é", "more\n"]],
  ];
  const text = parts.map(([between, frame]) => between + frame).join("");
  const expected = parts.map(([, , meaning]) => meaning);

  it("frames - are the same wherever they are cut, and the decoder is idle only between them", () => {
    const idle: boolean[] = [];
    for (const [between, frame] of parts) {
      idle.push(...Array(between.length).fill(true), true, ...Array(utf8(frame).length - 1).fill(false));
    }
    const bytes = utf8(text);
    assert.equal(idle.length, bytes.length);
    for (let cut = 0; cut < bytes.length; cut++) {
      const { decoder, frames } = decoderOf();
      decoder.push(bytes.slice(0, cut));
      assert.equal(decoder.idle, idle[cut], `cut at ${cut}`);
      decoder.push(bytes.slice(cut));
      assert.deepEqual(frames, expected, `cut at ${cut}`);
      assert.deepEqual([decoder.idle, decoder.holding], [true, false]);
    }
    for (const size of [1, 2, 3, 7]) {
      const cuts = Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => (i + 1) * size);
      assert.deepEqual(decode(text, cuts), expected, `chunks of ${size}`);
    }
  });

  it("mistakes - are found wherever the bytes are cut", () => {
    const wrong: [text: string, words: RegExp][] = [
      ["SE\rND\n\n\0", /^A frame begins with 'SE'/],
      ["SEND\r\r\n\n\0", /^A frame begins with 'SEND'/],
      ["SEND \n\n\0", /^A frame begins with 'SEND '/],
      ["SEND\x7f\n\n\0", /^A frame begins with bytes 53 45 4e 44 7f/],
      ["SEND\na:b\rc\n\n\0", /carriage return that is not escaped/],
      ["SEND\na:b\0\n\n", /^A NUL is in the headers/],
      ["SEND\na:b\n\0", /^A NUL is in the headers/],
      ["SEND\nab\n\n\0", /^A header of a SEND frame has no colon: 'ab'$/],
      [`SEND\n${"é".repeat(30)}x\n\n\0`, /no colon: 'é{30}'$/],
      [`SEND\ncontent-length:${"1".repeat(60)}x\n\n\0`, /not a number of bytes: '1{60}'$/],
      ["CONNECT\nsecret\n\n\0", /^A header of a CONNECT frame has no colon$/],
      ["SEND\ncontent-length:2\n\nabc\0", /^A SEND frame has no NUL after the 2 bytes of its body$/],
      ["SEND\ncontent-length:0\n\nabc\0", /^A SEND frame has no NUL after the 0 bytes of its body$/],
      ["SEND\ncontent-length:1x\n\nabc\0", /^The header content-length is not a number of bytes: '1x'$/],
      ["SEND\na:1\na:\\t\n\n\0", /escape/],
    ];
    for (const [input, words] of wrong) {
      for (let cut = 0; cut < input.length; cut++) {
        assert.throws(() => decode(input, [cut]), (error: Error) => {
          assert.ok(error instanceof ProtocolError);
          assert.match(error.message, words, `${JSON.stringify(input)} cut at ${cut}`);
          return true;
        }, `${JSON.stringify(input)} cut at ${cut}`);
      }
    }
  });
});

describe("STOMP decoder, other protocols", () => {
  it("names - a protocol is known by its first bytes, and by no fewer", () => {
    const zmtp = (last: number) => [0xff, 0, 0, 0, 0, 0, 0, 0, 1, last];
    const junk = Array.from({ length: 20 }, (_, i) => 0x80 + i);
    const hex = (bytes: number[]) =>
      `A frame begins with bytes ${
        bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
      }: a STOMP command`;
    const cases: [bytes: number[], words: string][] = [
      [[0x15, 3, 1], "The peer speaks TLS"],
      [[0x16, 3, 1], "The peer speaks TLS"],
      [[0x15, 4], hex([0x15, 4])],
      [[0x14, 3], hex([0x14, 3])],
      [zmtp(0x7f), "The peer speaks ZMTP (ZeroMQ), not STOMP"],
      [zmtp(0x7f).slice(0, 9), "The peer speaks ZMTP (ZeroMQ), not STOMP"],
      [zmtp(0x7e), hex(zmtp(0x7e))],
      [[0xfe, 0], hex([0xfe, 0])],
      [[1, 5], hex([1, 5])],
      [junk, hex(junk.slice(0, 16))],
    ];
    for (const [bytes, words] of cases) {
      assert.ok(notStomp(Uint8Array.from(bytes)).message.startsWith(words), words);
    }
  });
});

describe("STOMP decoder, limits", () => {
  const a = (count: number) => "a".repeat(count);

  it("limits - each is exact, wherever the bytes are cut", () => {
    const cases: [limits: StompLimits, fits: string, over: string, words: string][] = [
      [
        { maxBody: 9, maxLine: 5 },
        "SEND\nk:aaa\n\n\0",
        "SEND\nk:aaaa\n\n\0",
        "A header line has more than 5 bytes",
      ],
      [
        { maxBody: 9, maxHead: 10 },
        "SEND\nk:a\nl:bbb\n\n\0",
        "SEND\nk:a\nl:bbbb\n\n\0",
        "The headers of a SEND frame have more than 10 bytes",
      ],
      [
        { maxBody: 9, maxHeaders: 2 },
        "SEND\nk:a\nk:b\n\n\0",
        "SEND\nk:a\nk:b\nk:c\n\n\0",
        "A SEND frame has more than 2 headers",
      ],
      [
        { maxBody: 3 },
        "SEND\ncontent-length: 3 \n\nabc\0",
        "SEND\ncontent-length: 4 \n\nabcd\0",
        "The body of a SEND frame has 4 bytes: the limit is 3",
      ],
      [
        { maxBody: 3 },
        "SEND\ncontent-length:0000000000000003\n\nabc\0",
        "SEND\ncontent-length:00000000000000003\n\nabc\0",
        "The body of a SEND frame has 00000000000000003 bytes: the limit is 3",
      ],
      [
        { maxBody: 3 },
        "SEND\n\nabc\0",
        "SEND\n\nabcd\0",
        "The body of a SEND frame has more than 3 bytes: the limit is 3",
      ],
      // Only some frames have a body, so what follows the others may be as long as a line.
      [
        { maxBody: 3, maxLine: 9 },
        "ACK\n\nabc\0",
        "ACK\n\nabcd\0",
        "The body of a ACK frame has more than 3 bytes: the limit is 3",
      ],
      [
        { maxBody: 99, maxLine: 9 },
        `ACK\n\n${a(9)}\0`,
        `ACK\n\n${a(10)}\0`,
        "The body of a ACK frame has more than 9 bytes: the limit is 9",
      ],
    ];
    for (const [limits, fits, over, words] of cases) {
      for (let cut = 0; cut < over.length; cut++) {
        assert.equal(
          decode(fits, cut < fits.length ? [cut] : [], limits).length,
          1,
          `${JSON.stringify(fits)}, ${cut}`,
        );
        assert.throws(() => decode(over, [cut], limits), (error: Error) => {
          assert.ok(error instanceof LimitError);
          assert.equal(error.message, words, `cut at ${cut}`);
          return true;
        }, `${JSON.stringify(over)} cut at ${cut}`);
      }
    }
  });

  it("limits - a command is short, and the limits of headers have defaults", () => {
    for (const cut of [0, 5, 32]) {
      assert.equal(decode(`${"A".repeat(32)}\n\n\0`, [cut]).length, 1);
      assert.throws(() => decode("A".repeat(33), [cut]), /^ProtocolError: A frame begins with 'A+'/);
    }
    decode(`SEND\nk:${a(65534)}\n\n\0`, [70]);
    assert.throws(() => decode(`SEND\nk:${a(65535)}\n\n\0`, [70]), /A header line has more than 65536 bytes/);
    decode(`SEND\n${"k:v\n".repeat(1000)}\n\0`, []);
    assert.throws(() => decode(`SEND\n${"k:v\n".repeat(1001)}\n\0`, []), /has more than 1000 headers/);
    const line = `k:${a(65533)}\n`;
    decode(`SEND\n${line.repeat(4)}\n\0`, []);
    assert.throws(() => decode(`SEND\n${line.repeat(4)}k:\n\n\0`, []), /have more than 262144 bytes/);
  });

  it("limits - the headers of a frame do not count for the next one", () => {
    const frame = "SEND\nk:a\nl:b\n\n\0";
    assert.equal(decode(frame.repeat(3), [], { maxBody: 9, maxHead: 8, maxHeaders: 2 }).length, 3);
  });
});

describe("STOMP decoder, backlog", () => {
  it("backlog - what follows a frame is kept until the sink has room", () => {
    const { decoder, frames, sink } = decoderOf({ maxBody: 9 });
    sink.overBacklog = true;
    decoder.push(utf8("ACK\nid:1\n\n\0"));
    assert.deepEqual([frames.length, decoder.holding, decoder.idle], [0, true, false]);
    sink.overBacklog = false;
    decoder.resume();
    assert.deepEqual([frames.length, decoder.holding, decoder.idle], [1, false, true]);
    decoder.resume();
    const onFrame = sink.onFrame;
    sink.onFrame = (frame) => {
      onFrame(frame);
      sink.overBacklog = true;
    };
    decoder.push(utf8("ACK\nid:2\n\n\0ACK\nid:3\n\n\0ACK\ni"));
    decoder.push(utf8("d:4\n\n\0"));
    assert.deepEqual([frames.length, decoder.holding], [2, true]);
    for (const count of [3, 4]) {
      sink.overBacklog = false;
      decoder.resume();
      assert.deepEqual([frames.length, decoder.holding], [count, count === 3]);
    }
    assert.deepEqual(frames.map((frame) => (frame as string[])[1]), ["id,1", "id,2", "id,3", "id,4"]);
  });

  it("memory - a body over 64 KiB that spans chunks is announced, once if its size is known", () => {
    const KIB = 1024;
    for (
      const [size, announced] of [[64 * KIB, []], [64 * KIB + 1, [[64 * KIB + 1, true]]]] as const
    ) {
      const seen: unknown[] = [];
      const { decoder, frames } = decoderOf({ maxBody: 2 ** 20 }, {
        onBody: (...body) => void seen.push(body),
      });
      const body = "b".repeat(size);
      const frame = utf8(`SEND\ncontent-length:${size}\n\n${body}\0`);
      decoder.push(frame);
      assert.deepEqual(seen, [], "it is in one chunk");
      for (let at = 0; at < frame.length; at += 30_000) decoder.push(frame.slice(at, at + 30_000));
      assert.deepEqual(seen, announced);
      assert.deepEqual(frames.map((frame) => (frame as string[])[2] === body), [true, true]);
    }
    const seen: unknown[] = [];
    const { decoder, frames } = decoderOf({ maxBody: 100_000 }, {
      onBody: (...body) => void seen.push(body),
    });
    const body = "b".repeat(90_000);
    const frame = utf8(`SEND\n\n${body}\0`);
    for (let at = 0; at < frame.length; at += 30_000) decoder.push(frame.slice(at, at + 30_000));
    assert.deepEqual([seen, (frames[0] as string[])[2] === body], [[[100_000, false]], true]);
  });

  it("memory - the body waits until the sink has reserved memory for it", () => {
    let over = false;
    const frames: number[] = [];
    const sink: StompSink = {
      onFrame: ({ bodyStart, bodyEnd }) => void frames.push(bodyEnd - bodyStart),
      onBody: () => void (over = true),
      get overBacklog() {
        return over;
      },
    };
    const decoder = new StompDecoder(sink, { maxBody: 2 ** 20 });
    const frame = utf8(`SEND\ncontent-length:70000\n\n${"b".repeat(70_000)}\0`);
    decoder.push(frame.slice(0, 40_000));
    assert.deepEqual([decoder.holding, frames], [true, []]);
    over = false;
    decoder.resume();
    assert.deepEqual([decoder.holding, decoder.idle, frames], [false, false, []]);
    decoder.push(frame.slice(40_000));
    assert.deepEqual([decoder.holding, decoder.idle, frames], [false, true, [70_000]]);
  });
});
