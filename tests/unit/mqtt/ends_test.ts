/** The readers of MQTT see only their part of a buffer, and refuse what is cut. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameBuffer } from "../../../lib/bytes/frame_buffer.ts";
import { sizeofVariable, writeVariable } from "../../../lib/mqtt/integers.ts";
import { MqttError } from "../../../lib/mqtt/mqtt_error.ts";
import { PacketEncoder } from "../../../lib/mqtt/packet_encoder.ts";
import { PacketDecoder } from "../../../lib/mqtt/packet_decoder.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  type ProtocolVersion,
  PUBACK,
  PUBLISH,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../lib/mqtt/packet_type.ts";
import {
  type MqttProperties,
  PropertyWriter,
  readProperties,
  writeProperties,
} from "../../../lib/mqtt/properties.ts";
import { PropertyScan } from "../../../lib/mqtt/property_scan.ts";
import { PROPERTY, type PropertyKind, type PropertyRow, WILL } from "../../../lib/mqtt/property_table.ts";
import type { Subscribe } from "../../../lib/mqtt/packets.ts";
import { isText, readText } from "../../../lib/mqtt/text.ts";
import { checkLogicalEnd } from "../../support/logical_end.ts";
import { encodePackets, type Packet, readPacket } from "../../support/mqtt_packets.ts";

const payload = Uint8Array.of(1, 2, 3);
const properties: MqttProperties = {
  contentType: "é",
  correlationData: payload,
  userProperties: [["a", "b"]],
};
const reason: MqttProperties = { reasonString: "why", userProperties: [["a", "b"]] };
const will = { topic: "w", payload, qos: 1, retain: true, properties } as const;
const connect = { cleanStart: true, keepAlive: 5, clientId: "é", userName: "u", password: payload };
const publish = { topic: "a/é", payload, dup: false, retain: true };
const request = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

const packets: [version: ProtocolVersion, packet: Packet][] = [
  [5, { type: CONNECT, value: { ...connect, version: 5, properties: { receiveMaximum: 3 }, will } }],
  [4, { type: CONNECT, value: { ...connect, version: 4, properties: {}, will: undefined } }],
  [3, {
    type: CONNECT,
    value: { ...connect, version: 3, properties: {}, will: { ...will, properties: {} } },
  }],
  [5, { type: CONNACK, value: { sessionPresent: true, code: 0, properties: { maximumQos: 1, ...reason } } }],
  [4, { type: CONNACK, value: { sessionPresent: false, code: 5, properties: {} } }],
  [5, { type: PUBLISH, value: { ...publish, qos: 1, packetId: 258, properties } }],
  [5, { type: PUBLISH, value: { ...publish, qos: 0, packetId: 0, properties: { topicAlias: 3 } } }],
  [4, { type: PUBLISH, value: { ...publish, qos: 2, packetId: 258, properties: {} } }],
  [5, { type: PUBACK, value: { packetId: 258, reasonCode: 0x80, properties: reason } }],
  [4, { type: PUBREL, value: { packetId: 258, reasonCode: 0, properties: {} } }],
  [5, {
    type: SUBSCRIBE,
    value: {
      packetId: 258,
      properties: { subscriptionIdentifiers: [200] },
      requests: [{ ...request, filter: "a/+", qos: 1 }, { ...request, filter: "é/#", qos: 2 }],
    },
  }],
  [4, {
    type: SUBSCRIBE,
    value: { packetId: 258, properties: {}, requests: [{ ...request, filter: "a", qos: 1 }] },
  }],
  [5, {
    type: UNSUBSCRIBE,
    value: { packetId: 258, properties: { userProperties: [["a", "b"]] }, filters: ["a", "é"] },
  }],
  [5, { type: SUBACK, value: { packetId: 258, properties: reason, codes: [0, 1, 0x80] } }],
  [4, { type: SUBACK, value: { packetId: 258, properties: {}, codes: [0, 0x80] } }],
  [5, { type: UNSUBACK, value: { packetId: 258, properties: reason, codes: [0, 0x11] } }],
  [4, { type: UNSUBACK, value: { packetId: 258, properties: {}, codes: [] } }],
  [5, { type: DISCONNECT, value: { reasonCode: 0x8b, properties: reason } }],
  [5, { type: AUTH, value: { reasonCode: 0x18, properties: { authenticationMethod: "m" } } }],
];

/** Type, flags and content of the only packet in these bytes. */
function contentOf(
  version: ProtocolVersion,
  packet: Packet,
): [type: number, flags: number, content: Uint8Array] {
  let found: [number, number, Uint8Array] | undefined;
  const decoder = new PacketDecoder({
    onPacket: (type, flags, bytes, start, end) => void (found = [type, flags, bytes.slice(start, end)]),
  });
  decoder.version = version;
  decoder.push(encodePackets(version, [packet]));
  return found!;
}

describe("MQTT readers", () => {
  for (const [version, packet] of packets) {
    const [type, flags, content] = contentOf(version, packet);
    it(`packets - type ${type} of version ${version} ends with its bytes (${content.length})`, () => {
      const read = (bytes: Uint8Array, start: number, end: number) =>
        readPacket(type, flags, bytes, start, end, version);
      const accepted = checkLogicalEnd(read, content);
      assert.equal(accepted.at(-1), content.length);
      assert.deepEqual(read(content, 0, content.length), packet);
      // Every other end is that of a shorter packet, or an error of the protocol.
      for (let length = 0; length < content.length; length++) {
        if (!accepted.includes(length)) assert.throws(() => read(content, 0, length), MqttError);
      }
    });
  }

  it("topic names - are UTF-8 without wildcards and U+0000", () => {
    const read = (...topic: number[]) => () =>
      readPacket(PUBLISH, 0, Uint8Array.of(0, topic.length, ...topic), 0, topic.length + 2, 4);
    for (const topic of [[0x61, 0x7f], [0xc3, 0xa9], [0x20, 0x7e]]) read(...topic)();
    for (const topic of [[0], [0x61, 0x80], [0xff], [0xc3], [0x23], [0x2b], [0x61, 0]]) {
      assert.throws(read(...topic), MqttError, String(topic));
    }
  });

  it("texts - are UTF-8 as the platform knows it, without U+0000, wherever they begin and end", () => {
    const platform = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    // All bytes at which table 3-7 of Unicode changes, first and later in a character, and both sides of each.
    const first = [0, 1, 0x41, 0x7f, 0x80, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1]
      .concat(0xf3, 0xf4, 0xf5, 0xff);
    const later = [0, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
    let valid = 0;
    const check = (...content: number[]) => {
      const bytes = Uint8Array.of(0xc3, ...content, 0x80);
      const end = bytes.length - 1;
      let text: string | undefined;
      try {
        text = platform.decode(bytes.subarray(1, end));
      } catch {
        // It is not UTF-8.
      }
      const isValid = text?.includes("\0") === false;
      assert.equal(isText(bytes, 1, end), isValid, content.join(" "));
      if (!isValid) return;
      valid++;
      assert.equal(readText(bytes, 1, end), text);
    };
    check();
    for (const a of first) {
      check(a);
      check(0x41, a);
      for (const b of later) {
        check(a, b);
        check(0x41, a, b);
        for (const c of later) {
          check(a, b, c);
          for (const d of later) check(a, b, c, d);
        }
      }
    }
    assert.ok(valid > 100);
    // A byte order mark is a character as any other; long texts are read in another way than short ones.
    for (let length = 28; length < 36; length++) {
      check(...new TextEncoder().encode("\ufeff" + "x".repeat(length)));
      check(...new TextEncoder().encode("x".repeat(length) + "\x7fé€😀"));
    }
  });

  it("identifiers - 0 is refused, 1 and 65535 are not", () => {
    for (const [type, flags] of [[PUBACK, 0], [PUBREL, 2]] as const) {
      const read = (...id: number[]) => () => readPacket(type, flags, Uint8Array.from(id), 0, 2, 4);
      assert.throws(read(0, 0), /has the packet identifier 0/);
      assert.deepEqual(
        [read(0, 1)().value, read(255, 255)().value].map((value) => (value as { packetId: number }).packetId),
        [
          1,
          65535,
        ],
      );
    }
    const longer = () => readPacket(PUBACK, 0, Uint8Array.of(9, 9, 9, 0, 1, 0, 0), 3, 7, 4);
    assert.throws(longer, /^MqttError: A PUBACK has 4 bytes instead of 2$/);
  });

  it("integers - take one byte for each seven bits", () => {
    const limits = [0x80, 0x4000, 0x20_0000, 0x1000_0000];
    for (const [i, limit] of limits.entries()) {
      for (const value of [i === 0 ? 0 : limits[i - 1]!, limit - 1]) {
        assert.equal(sizeofVariable(value), i + 1, `${value}`);
        assert.equal(writeVariable(new Uint8Array(8), 2, value), i + 3);
      }
    }
  });

  it("decoder - accepts MQTT 5.0 and the largest packet of MQTT by default, and is idle between packets", () => {
    const largest = Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f);
    const sink = { onPacket: () => {}, overBacklog: false };
    const decoder = new PacketDecoder(sink);
    assert.deepEqual([decoder.version, decoder.maxPacket, decoder.idle], [5, 268_435_460, true]);
    decoder.push(largest);
    assert.equal(decoder.idle, false);
    const limited = new PacketDecoder(sink);
    limited.maxPacket = 268_435_459;
    assert.throws(() => limited.push(largest), /268435459/);
    const busy = new PacketDecoder({ ...sink, overBacklog: true });
    busy.push(Uint8Array.of(0xd0, 0));
    assert.equal(busy.idle, false);
  });

  it("PUBLISH - QoS 3, and a duplicate of QoS 0, are refused whether it is retained or not", () => {
    const push = (head: number) => () => new PacketDecoder({ onPacket() {} }).push(Uint8Array.of(head, 5));
    for (const head of [0x36, 0x37, 0x3e, 0x3f]) assert.throws(push(head), /A PUBLISH has QoS 3/);
    for (const head of [0x38, 0x39]) {
      assert.throws(push(head), /A PUBLISH with QoS 0 is marked as a duplicate/);
    }
    for (const head of [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3a, 0x3b, 0x3c, 0x3d]) push(head)();
  });

  it("acknowledgements - are as short as they may be", () => {
    const cases: [
      version: ProtocolVersion,
      code: number,
      reason: MqttProperties | undefined,
      bytes: number[],
    ][] = [
      [5, 0, undefined, [0x40, 2, 1, 2]],
      [5, 0x80, undefined, [0x40, 3, 1, 2, 0x80]],
      [5, 0, { reasonString: "x" }, [0x40, 8, 1, 2, 0, 4, 0x1f, 0, 1, 0x78]],
      [4, 0, undefined, [0x40, 2, 1, 2]],
      [4, 0x80, { reasonString: "x" }, [0x40, 2, 1, 2]],
    ];
    for (const [version, code, properties, bytes] of cases) {
      const encoder = new PacketEncoder(new FrameBuffer());
      assert.equal(encoder.version, 5);
      encoder.version = version;
      encoder.ack(PUBACK, 258, code, properties);
      assert.deepEqual([...encoder.out.take()], bytes);
    }
  });

  it("CONNECT and DISCONNECT - the bytes of each version", () => {
    const encode = (version: ProtocolVersion, packet: Packet) => [...encodePackets(version, [packet])];
    const empty = {
      cleanStart: false,
      keepAlive: 258,
      clientId: "",
      will: undefined,
      userName: undefined,
      password: undefined,
    };
    const names = {
      3: [0, 6, 77, 81, 73, 115, 100, 112],
      4: [0, 4, 77, 81, 84, 84],
      5: [0, 4, 77, 81, 84, 84],
    };
    for (const version of [3, 4, 5] as const) {
      const content = [...names[version], version, 0, 1, 2, ...(version === 5 ? [0] : []), 0, 0];
      assert.deepEqual(encode(version, { type: CONNECT, value: { ...empty, version, properties: {} } }), [
        0x10,
        content.length,
        ...content,
      ]);
    }
    const end = (reasonCode: number, properties: MqttProperties = {}): Packet => ({
      type: DISCONNECT,
      value: { reasonCode, properties },
    });
    assert.deepEqual([encode(5, end(0)), encode(5, end(4)), encode(4, end(4))], [[0xe0, 0], [0xe0, 1, 4], [
      0xe0,
      0,
    ]]);
    assert.deepEqual(encode(5, end(0, { reasonString: "x" })), [0xe0, 6, 0, 4, 0x1f, 0, 1, 0x78]);
  });

  it("SUBSCRIBE - the options of each version", () => {
    const read = (version: ProtocolVersion, options: number) => () =>
      readPacket(
        SUBSCRIBE,
        2,
        Uint8Array.of(0, 1, ...(version === 5 ? [0] : []), 0, 1, 97, options),
        0,
        version === 5 ? 7 : 6,
        version,
      );
    for (let options = 0; options < 256; options++) {
      const qos = options & 3;
      const isValid5 = qos < 3 && options < 0x30;
      if (options <= 2) read(4, options)();
      else {assert.throws(
          read(4, options),
          /^MqttError: The options of the topic filter 'a' are /,
          `${options}`,
        );}
      if (isValid5) {
        const { requests } = read(5, options)().value as Subscribe;
        assert.deepEqual(requests, [{
          filter: "a",
          qos,
          noLocal: (options & 4) !== 0,
          retainAsPublished: (options & 8) !== 0,
          retainHandling: options >> 4,
        }]);
      } else assert.throws(read(5, options), MqttError, `${options}`);
    }
  });

  it("properties - numbers are within their limits", () => {
    const write = (properties: object) => () => writeProperties(properties, new PropertyWriter());
    for (
      const [name, most] of [["maximumQos", 0xff], ["receiveMaximum", 0xffff], [
        "sessionExpiryInterval",
        0xffff_ffff,
      ]] as const
    ) {
      write({ [name]: most })();
      write({ [name]: 0 })();
      for (const wrong of [most + 1, -1, 1.5, "1", NaN]) {
        assert.throws(write({ [name]: wrong }), RangeError, `${name} ${wrong}`);
      }
    }
    write({ subscriptionIdentifiers: [268_435_455] })();
    assert.throws(write({ subscriptionIdentifiers: [268_435_456] }), RangeError);
    write({ correlationData: new Uint8Array(65_535) })();
    assert.throws(write({ correlationData: new Uint8Array(65_536) }), RangeError);
  });

  describe("properties", () => {
    const utf8 = new TextEncoder();
    const withLength = (content: Uint8Array) => [content.length >> 8, content.length & 255, ...content];
    // The second byte of a length must not be taken for a part of the text: 35 and 43 are the wildcards.
    const texts = ["x", "é", ...[35, 43, 127, 128, 255, 256, 300].map((length) => "t".repeat(length))];
    const pairs = ["", ...texts].flatMap((
      name,
    ): [string, string][] => [[name, ""], [name, "v"], ["k", name]]);
    /** Values of each kind, and their bytes. */
    const VALUES: Readonly<Record<PropertyKind, readonly [value: unknown, bytes: readonly number[]][]>> = {
      byte: [[0, [0]], [1, [1]]],
      two: [[0x0102, [1, 2]], [0xfffe, [0xff, 0xfe]]],
      four: [[0x01020304, [1, 2, 3, 4]], [0xfffefdfc, [0xff, 0xfe, 0xfd, 0xfc]]],
      variable: [
        [[1], [1]],
        [[127], [0x7f]],
        [[128], [0x80, 1]],
        [[16_383], [0xff, 0x7f]],
        [[16_384], [0x80, 0x80, 1]],
        [[2_097_152], [0x80, 0x80, 0x80, 1]],
        [[268_435_455], [0xff, 0xff, 0xff, 0x7f]],
      ],
      text: ["", ...texts].map((text) => [text, withLength(utf8.encode(text))]),
      binary: ["", ...texts, "\0"].map((text) => {
        const bytes = utf8.encode(text);
        return [bytes, withLength(bytes)];
      }),
      pair: pairs.map((pair) => [[pair], pair.flatMap((text) => withLength(utf8.encode(text)))]),
    };
    /** Reads a block of properties between other bytes. */
    const readBlock = (packet: number, content: readonly number[], after: readonly number[] = []) => {
      const length = writeVariable(new Uint8Array(4), 0, content.length);
      const bytes = new Uint8Array(2 + length + content.length + after.length);
      writeVariable(bytes, 2, content.length);
      bytes.set([...content, ...after], 2 + length);
      const scan = new PropertyScan();
      assert.equal(scan.read(packet, bytes, 2, bytes.length), bytes.length - after.length);
      const { properties, end } = readProperties(packet, bytes, 2, bytes.length);
      assert.equal(end, bytes.length - after.length);
      return { scan, properties };
    };

    for (const [name, { id, kind, packets }] of Object.entries(PROPERTY)) {
      it(`${name} - is read as it is written, and is refused as truncated when its block ends before it`, () => {
        for (const [value, bytes] of VALUES[kind]) {
          if (id === PROPERTY.responseTopic.id && value === "") continue;
          const { properties, scan } = readBlock(packets[0], [id, ...bytes], [0, 0, 0]);
          assert.deepEqual(properties, { [name]: value });
          const writer = new PropertyWriter();
          writeProperties(properties, writer);
          assert.deepEqual(writer.bytes.slice(0, writer.length), Uint8Array.of(id, ...bytes));
          assert.deepEqual([scan.has(id), scan.isEmpty], [true, false]);
          if (kind === "text") assert.equal(scan.text(id), value);
          if (kind === "variable") assert.equal(scan.number(id), (value as number[])[0]);
          if (typeof value === "number") assert.equal(scan.number(id), value);
          for (let cut = 0; cut < bytes.length; cut++) {
            const wrong = () =>
              readBlock(packets[0], [id, ...bytes.slice(0, cut)], [...bytes.slice(cut), 0, 0]);
            assert.throws(wrong, { name: "MqttError", reasonCode: 0x81 }, `${bytes} to ${cut}`);
          }
        }
      });
    }

    it("packets and wills - have only their properties, and several only of those that may repeat", () => {
      for (const row of Object.values(PROPERTY)) {
        const { id, kind, packets, repeats = [] }: PropertyRow = row;
        const one = [id, ...VALUES[kind].at(-1)![1]];
        for (let packet = WILL; packet <= AUTH; packet++) {
          const reasonOf = (content: readonly number[]): number => {
            try {
              readBlock(packet, content);
            } catch (error) {
              return (error as MqttError).reasonCode;
            }
            return 0;
          };
          const expected = [packets.includes(packet) ? 0 : 0x82, repeats.includes(packet) ? 0 : 0x82];
          assert.deepEqual([reasonOf(one), reasonOf([...one, ...one])], expected, `${id} in ${packet}`);
        }
      }
    });

    it("what is absent - has no text, the number -1, and no values", () => {
      const { scan } = readBlock(PUBLISH, [], [PROPERTY.contentType.id, 0, 0]);
      assert.deepEqual([scan.isEmpty, scan.text(3), scan.number(1), scan.has(1)], [
        true,
        undefined,
        -1,
        false,
      ]);
      scan.each(38, () => assert.fail());
    });

    it("refused - an integer of five bytes, texts that are not UTF-8, wildcards, and values beyond the limits", () => {
      const cases: [content: number[], reasonCode: number][] = [
        [[11, 0x80, 0x80, 0x80, 0x80, 1], 0x81],
        [[11, 0xff, 0xff, 0xff, 0xff, 0], 0x81],
        [[11, 0], 0x82],
        [[11, 0x80, 0], 0x82],
        [[1, 2], 0x82],
        [[3, 0, 1, 0], 0x81],
        [[3, 0, 2, 0x61, 0xc3], 0x81],
        [[38, 0, 1, 0, 0, 1, 0x61], 0x81],
        [[38, 0, 1, 0x61, 0, 1, 0], 0x81],
        [[38, 0, 1, 0x61, 0, 2, 0x61, 0xff], 0x81],
        [[38, 0, 1, 0x61, 0, 2, 0xff, 0x61], 0x81],
        ...["#", "+", "#a", "a#", "+/a", "a/+", ""].map((topic): [number[], number] => [
          [8, ...withLength(utf8.encode(topic))],
          0x82,
        ]),
        // A property after it, so that the packet does not end with the wrong one.
        [[3, 0, 9, 0x61, 38, 0, 0, 0, 0], 0x81],
        [[43, 0], 0x81],
        [[0, 0], 0x81],
        [[255, 0], 0x81],
        [[4, 0], 0x81],
        [[36, 0], 0x82],
        [[3, 0, 0, 3, 0, 0], 0x82],
      ];
      for (const [content, reasonCode] of cases) {
        assert.throws(
          () => readBlock(PUBLISH, content, [0x61, 0x61]),
          { name: "MqttError", reasonCode },
          `${content}`,
        );
      }
    });
  });
});
