/** The descriptions of frames: each protocol, secrets, large bodies, and bytes that are none of them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ByteStream, StreamSink } from "../../../lib/transport/stream.ts";
import { tapped, tapStreams } from "../../../lib/transport/tap.ts";
import { bytes, CONVERSATIONS, describeEvents, SECRET } from "../../support/wire.ts";

describe("wire", () => {
  for (const { name, events, lines, subprotocol } of CONVERSATIONS) {
    it(`wire - ${name}`, () => {
      const seen = describeEvents(events, subprotocol);
      assert.deepEqual(seen, lines);
      assert.ok(!seen.join("\n").includes(SECRET), "a secret is shown");
    });
  }

  it("wire - a body of any size is described by its size and its first bytes", () => {
    const size = 3_000_000;
    const body = "x".repeat(size);
    const shown = `3000000 bytes "${"x".repeat(32)}"…`;
    const long = "\x02\0\0\0\0\0\x2d\xc6\xc0";
    const greeting = CONVERSATIONS[0]!.events[0]!;
    assert.equal(
      describeEvents([greeting, ["->", bytes(long + body)]])[1],
      `-> ZMTP message 1 frame ${shown}`,
    );
    assert.deepEqual(describeEvents([["->", bytes(`SEND\na:b\n\n${body}\0`)]]), [
      `-> STOMP SEND a=b ${shown}`,
    ]);
    const amqp = describeEvents([["->", bytes("AMQP\0\0\x09\x01")], [
      "->",
      bytes(`\x03\0\x01\0\x2d\xc6\xc0${body}\xce`),
    ]]);
    assert.equal(amqp[1], `-> AMQP content body ch=1 ${shown}`);
    const connect = "\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me";
    const mqtt = describeEvents([["->", bytes(`${connect}\x30\xc3\x8d\xb7\x01\0\x01a${body}`)]]);
    assert.equal(mqtt[1], `-> MQTT PUBLISH qos=0 topic=a ${shown}`);
  });

  it("wire - after bytes that cannot be decoded only sizes are shown, and that is said once", () => {
    assert.deepEqual(describeEvents([["->", bytes("GET /")], ["->", bytes("abc")], ["<-", bytes("x")]]), [
      "-> 5 bytes (unknown protocol: only sizes from here on)",
      "-> 3 bytes",
      "<- 1 byte (unknown protocol: only sizes from here on)",
    ]);
    const broken = describeEvents([["->", bytes("AMQP\0\0\x09\x01\x07")], ["->", bytes(SECRET)]]);
    assert.deepEqual(broken, [
      "-> AMQP protocol header 0-9-1",
      "-> 9 bytes (a frame has the unknown type 7: only sizes from here on)",
      "-> 6 bytes",
    ]);
  });

  it("tap - sees both directions of a stream, which works as before", () => {
    const seen: string[] = [];
    const note = (kind: string) => (chunk: Uint8Array) =>
      void seen.push(kind + new TextDecoder().decode(chunk));
    let below!: StreamSink;
    const stream = {
      remote: "tcp://peer:1",
      taken: 7,
      attach: (sink: StreamSink) => below = sink,
      write: note("written "),
    } as unknown as ByteStream;
    assert.equal(tapped(stream), stream, "without a tap the stream is not wrapped");
    tapStreams(() => ({ onSent: note("-> "), onReceived: note("<- ") }));
    const wrapped = tapped(stream);
    tapStreams(undefined);
    assert.deepEqual([wrapped.remote, wrapped.taken, "subprotocol" in wrapped], ["tcp://peer:1", 7, false]);
    const space = new Uint8Array(4);
    wrapped.attach({
      onData: note("data "),
      onEnd: () => seen.push("end"),
      onDrain: () => seen.push("drain"),
      space: () => space,
    });
    assert.equal(below.space!(), space);
    wrapped.write(bytes("a"));
    below.onDrain();
    below.onData(bytes("b"));
    below.onEnd();
    assert.deepEqual(seen, ["-> a", "written a", "drain", "<- b", "data b", "end"]);
  });
});
