/** Datagrams as a stream of frames, without a network. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DatagramSink, DatagramSocket } from "../../../lib/transport/datagram.ts";
import { concat, text, utf8 } from "../../../lib/zmtp/bytes.ts";
import { encodeCommand, encodeFrame } from "../../../lib/zmtp/frame_encoder.ts";
import { datagramMistake, DatagramStream } from "../../../lib/zmq/connections/datagrams.ts";
import { Collector, deadline } from "../../support/helpers.ts";

/** A socket that notes what it is given. */
class FakeSocket implements DatagramSocket {
  readonly endpoint = { scheme: "udp", host: "127.0.0.1", port: 1 } as const;
  readonly closed: Promise<void>;
  readonly sent: Uint8Array[] = [];
  isClosed = false;
  sink!: DatagramSink;
  #end!: () => void;

  constructor() {
    this.closed = new Promise((resolve) => this.#end = resolve);
  }
  attach(sink: DatagramSink): void {
    this.sink = sink;
  }
  send(bytes: Uint8Array): void {
    this.sent.push(bytes.slice());
  }
  close(): void {
    this.isClosed = true;
    this.#end();
  }
}

function streamed() {
  const socket = new FakeSocket();
  const stream = new DatagramStream(socket, "DISH");
  const sink = new Collector();
  stream.attach(sink);
  return { socket, stream, sink };
}

const MORE = 1;
const message = (group: string, size: number) =>
  concat([encodeFrame(utf8(group), MORE), encodeFrame(new Uint8Array(size))]);
const datagram = (group: string, size: number) =>
  Uint8Array.of(group.length, ...utf8(group), ...new Uint8Array(size));

describe("datagram stream", () => {
  it("write - each message is a datagram, and counts as taken with its bytes in the stream", async () => {
    const { socket, stream, sink } = streamed();
    const sizes = [0, 1, 255, 256, 300, 8000];
    for (let round = 0; round < 2; round++) {
      socket.sent.length = 0;
      stream.write(concat(sizes.map((size) => message("group", size))));
      let taken = 0;
      for (const size of sizes) {
        assert.equal(stream.taken, taken);
        assert.equal(sink.drains, round);
        assert.deepEqual(socket.sent.at(-1), datagram("group", size));
        socket.sink.onSent(undefined);
        taken += message("group", size).length;
      }
      assert.deepEqual([stream.taken, socket.sent.length, sink.drains], [taken, sizes.length, round + 1]);
    }
    // Commands, and messages that are not a group and a body.
    stream.write(
      concat([
        encodeCommand("PING", utf8("\0\0")),
        encodeFrame(utf8("one")),
        encodeFrame(utf8("a"), MORE),
        encodeFrame(utf8("b"), MORE),
        encodeFrame(utf8("c")),
      ]),
    );
    assert.equal(sink.drains, 2);
    await Promise.resolve();
    assert.deepEqual([sink.drains, socket.sent.length], [3, sizes.length]);
  });

  it("end - closes at once when all is sent", async () => {
    const { socket, stream } = streamed();
    stream.write(message("g", 1));
    socket.sink.onSent(undefined);
    assert.equal(socket.isClosed, false);
    stream.end();
    assert.equal(socket.isClosed, true);
    assert.equal(await deadline(stream.closed), undefined);
  });

  it("end - waits for the datagrams that are being sent; an error other than a missing listener closes it", async () => {
    const idle = streamed();
    idle.stream.end();
    assert.equal(idle.socket.isClosed, true);
    assert.equal(await deadline(idle.stream.closed), undefined);
    const { socket, stream } = streamed();
    stream.write(concat([message("g", 1), message("g", 2)]));
    stream.end();
    socket.sink.onSent(new Error("Connection refused"));
    assert.equal(socket.isClosed, false);
    socket.sink.onSent(undefined);
    assert.equal(socket.isClosed, true);
    const broken = streamed();
    broken.stream.write(message("g", 1));
    const error = new Error("network is unreachable");
    broken.socket.sink.onSent(error);
    assert.equal(await deadline(broken.stream.closed), error);
    assert.equal(broken.sink.drains, 0);
  });

  it("arrival - a datagram of at most 8192 bytes with a whole group is a message, unless reading is paused", () => {
    const { socket, stream, sink } = streamed();
    const arrive = (bytes: Uint8Array) => {
      sink.chunks.length = 0;
      socket.sink.onDatagram(bytes, { address: "127.0.0.1", port: 2 });
      return sink.chunks.length === 0 ? undefined : concat(sink.chunks);
    };
    const longest = "g".repeat(255);
    for (
      const [group, size] of [["", 0], ["", 1], ["g", 0], ["g", 255], ["g", 256], ["g", 8190], [
        longest,
        7936,
      ]] as const
    ) {
      assert.deepEqual(arrive(datagram(group, size)), message(group, size), `${group} ${size}`);
    }
    for (
      const wrong of [
        new Uint8Array(0),
        Uint8Array.of(1),
        Uint8Array.of(3, 97, 98),
        datagram("g", 8191),
        datagram(longest, 7937),
      ]
    ) {
      assert.equal(arrive(wrong), undefined, text(wrong.subarray(0, 5)));
    }
    stream.pause();
    assert.equal(arrive(datagram("g", 1)), undefined);
    stream.resume();
    assert.deepEqual(arrive(datagram("g", 1)), message("g", 1));
  });

  it("size - a body fits after its group up to 8192 bytes, the length of the group included", () => {
    for (const [group, most] of [[0, 8191], [1, 8190], [255, 7936]] as const) {
      assert.equal(datagramMistake(group, most), undefined);
      assert.match(
        datagramMistake(group, most + 1)!.message,
        new RegExp(`at most ${most} bytes fit after a group of ${group} bytes`),
      );
    }
  });
});
