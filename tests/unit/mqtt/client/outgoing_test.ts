/** The sizes of messages, and what a server cannot do. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameBuffer } from "../../../../lib/bytes/frame_buffer.ts";
import { checkMode, Outgoing } from "../../../../lib/mqtt/client/outgoing.ts";
import { PacketEncoder } from "../../../../lib/mqtt/packet_encoder.ts";

describe("MQTT client: sizes of messages", () => {
  it("room - the largest payload whose packet is within the limit, at each length of its fixed header", () => {
    const payload = new Uint8Array(2 ** 21 + 100);
    const topic = new TextEncoder().encode("t");
    for (const version of [4, 5] as const) {
      for (const qos of [0, 1] as const) {
        for (const [limit, length] of [[30, 0], [200, 150], [20_000, 130], [2 ** 21 + 9, 0]] as const) {
          const spread = limit < 2 ** 20 ? 25 : 3;
          for (
            let maximumPacketSize = limit - spread;
            maximumPacketSize < limit + spread;
            maximumPacketSize++
          ) {
            const outgoing = new Outgoing({
              write: (_properties, into) => void (into.length = length),
              read() {},
            }, { qos });
            const limits = {
              receiveMaximum: 1,
              maximumPacketSize,
              maximumQos: 2,
              retains: true,
              sharesSubscriptions: true,
            };
            outgoing.onConnection(version, limits);
            outgoing.set({ exchange: "", routingKey: "t", properties: new Uint8Array(0) });
            const { room } = outgoing;
            if (room < 0) continue;
            const sizeWith = (size: number) => {
              const encoder = new PacketEncoder(new FrameBuffer());
              encoder.version = version;
              const properties = new Uint8Array(length);
              encoder.publish(
                qos << 1,
                qos,
                topic,
                1,
                properties,
                version === 5 ? length : 0,
                payload,
                0,
                size,
              );
              return encoder.out.length;
            };
            assert.ok(sizeWith(room) <= maximumPacketSize, `${version} ${qos} ${maximumPacketSize}`);
            assert.ok(sizeWith(room + 1) > maximumPacketSize, `${version} ${qos} ${maximumPacketSize}`);
          }
        }
      }
    }
  });

  it("limits - lower ones of a new connection are noticed, and what the server cannot do is refused", () => {
    const outgoing = new Outgoing(undefined, {});
    const limits = {
      receiveMaximum: 1,
      maximumPacketSize: 100,
      maximumQos: 1,
      retains: false,
      sharesSubscriptions: true,
    };
    assert.equal(outgoing.isOver({ ...limits, maximumPacketSize: 268_435_460 }), false);
    assert.equal(outgoing.isOver({ ...limits, maximumPacketSize: 268_435_459 }), true);
    outgoing.onConnection(4, limits);
    assert.deepEqual(
      [101, 100, 99].map((maximumPacketSize) => outgoing.isOver({ ...limits, maximumPacketSize })),
      [
        false,
        false,
        true,
      ],
    );
    checkMode({}, limits);
    checkMode({ qos: 1, retain: false }, limits);
    checkMode({ qos: 2, retain: true }, { ...limits, maximumQos: 2, retains: true });
    assert.throws(
      () => checkMode({ qos: 2 }, limits),
      /no QoS above 1: messages cannot be published with QoS 2/,
    );
    assert.throws(() => checkMode({}, { ...limits, maximumQos: 0 }), /no QoS above 0: .* with QoS 1/);
    assert.throws(() => checkMode({ retain: true }, limits), /does not support retained messages/);
  });

  it("topics - a long one is shortened in the error", () => {
    const outgoing = new Outgoing(undefined, {});
    const set = (routingKey: string) => () =>
      outgoing.set({ exchange: "", routingKey, properties: new Uint8Array(0) });
    assert.throws(set(`${"a".repeat(99)}#`), {
      message: new RegExp(`'${"a".repeat(99)}#': a topic has no wildcards`),
    });
    assert.throws(set(`${"a".repeat(100)}+`), {
      message: new RegExp(`'${"a".repeat(100)}…': a topic has no wild`),
    });
    assert.throws(set("a".repeat(65536)), /'a{100}…': a topic has at most 65535 bytes of UTF-8/);
    set("a".repeat(65535))();
  });
});
