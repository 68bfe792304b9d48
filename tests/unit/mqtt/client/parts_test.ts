/** Parts of the MQTT client without a connection: acknowledgements, sessions, reason codes, and sizes of messages. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FrameBuffer } from "../../../../lib/bytes/frame_buffer.ts";
import { UnreachableError } from "../../../../lib/errors.ts";
import {
  connackError,
  disconnectError,
  isPermanent,
  refusesVersion,
} from "../../../../lib/mqtt/client/errors.ts";
import { checkMode, Outgoing } from "../../../../lib/mqtt/client/outgoing.ts";
import { PendingAcks } from "../../../../lib/mqtt/client/pending_acks.ts";
import { Session, type SessionOptions } from "../../../../lib/mqtt/client/session.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import { MqttError } from "../../../../lib/mqtt/mqtt_error.ts";
import { PacketEncoder } from "../../../../lib/mqtt/packet_encoder.ts";

const codes = Array.from({ length: 256 }, (_, code) => code);

describe("MQTT client: acknowledgements", () => {
  it("order - acknowledgements are sent in the order of arrival, as a list of all messages has it", () => {
    /** What a test does: a message arrives, or one or all up to it are settled or left, or what is due is sent. */
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ what: fc.constant("add" as const), qos: fc.nat(2) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          what: fc.constantFrom("one" as const, "all" as const, "leave" as const),
          back: fc.integer({ min: -2, max: 150 }),
          code: fc.nat(255),
        }),
      },
      { weight: 1, arbitrary: fc.record({ what: fc.constant("send" as const) }) },
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
      const acks = new PendingAcks();
      const model: { id: number; qos: number; state: "open" | "due" | "silent"; code: number }[] = [];
      let sentUpTo = 0;
      const set = (number: number, state: "due" | "silent", code: number) => {
        const message = model[number - 1];
        if (number <= sentUpTo || message?.state !== "open") return;
        message.state = state;
        message.code = code;
      };
      for (const step of steps) {
        if (step.what === "add") {
          const id = 65535 - model.length * 7;
          model.push({ id, qos: step.qos, state: step.qos === 0 ? "silent" : "open", code: 0 });
          assert.equal(acks.add(id, step.qos), model.length);
        } else if (step.what === "send") {
          const sent: unknown[] = [];
          acks.send((...ack) => void sent.push(ack));
          const expected: unknown[] = [];
          for (let next; (next = model[sentUpTo]) !== undefined && next.state !== "open"; sentUpTo++) {
            if (next.state === "due") expected.push([next.id, next.qos, next.code]);
          }
          assert.deepEqual(sent, expected);
        } else {
          const number = model.length - step.back;
          if (step.what === "leave") acks.leave(number);
          else acks.settle(number, step.what === "all", step.code);
          const first = step.what === "all" ? 1 : number;
          for (let one = first; one <= number; one++) {
            set(one, step.what === "leave" ? "silent" : "due", step.code);
          }
        }
      }
    }));
  });

  it("growth - the ring holds any number of messages, from any position", () => {
    for (const before of [0, 1, 63, 64, 100]) {
      const acks = new PendingAcks();
      const sent: number[] = [];
      const send = () => acks.send((id, qos, code) => void sent.push(id, qos, code));
      for (let i = 0; i < before; i++) acks.settle(acks.add(1, 1), false, 0);
      send();
      sent.length = 0;
      const count = 300;
      for (let i = 0; i < count; i++) assert.equal(acks.add(i, 1 + i % 2), before + i + 1);
      acks.settle(before + count, true, 7);
      send();
      assert.deepEqual(sent, Array.from({ length: count }, (_, i) => [i, 1 + i % 2, 7]).flat());
    }
  });
});

describe("MQTT client: session", () => {
  it("session - what the first connection asks for, in each version", () => {
    const forever = 0xffff_ffff;
    const cases: [options: SessionOptions, own: number | undefined, expected: unknown[]][] = [
      // Whether it is kept; the expiry in 5 and in 4; whether the first one is clean in 5 and in 4, and a later one in 5.
      [{}, undefined, [false, 0, 0, true, true, true]],
      [{ sessionExpiry: 60 }, undefined, [false, 60, 0, true, true, false]],
      [{ clientId: "me" }, undefined, [false, 0, 0, true, true, true]],
      [{ clientId: "me", sessionExpiry: 1 }, undefined, [true, 1, 1, false, false, false]],
      [{ clientId: "me", sessionExpiry: forever }, undefined, [true, forever, forever, false, false, false]],
      [{ clientId: "me", sessionExpiry: 60 }, 3600, [false, 3600, 0, true, true, false]],
      [{ clientId: "me", sessionExpiry: 60 }, 0, [false, 0, 0, true, true, true]],
    ];
    for (const [options, own, expected] of cases) {
      const session = new Session(options, own);
      const first = [
        session.isKept,
        session.expiryIn(5),
        session.expiryIn(4),
        session.isCleanIn(5),
        session.isCleanIn(4),
      ];
      session.fresh = false;
      assert.deepEqual([...first, session.isCleanIn(5)], expected, JSON.stringify(options));
    }
  });

  it("session - defaults, and what is given", () => {
    const { keepAlive, receiveMaximum, versions, clientId } = new Session({});
    assert.deepEqual([keepAlive, receiveMaximum, versions], [30, 1000, [5, 4]]);
    assert.match(clientId, /^mqcat[0-9a-f]{16}$/);
    const given = new Session({ keepAlive: 0, receiveMaximum: 1, version: 4, clientId: "" });
    assert.deepEqual([given.keepAlive, given.receiveMaximum, given.versions, given.clientId], [
      0,
      1,
      [4],
      "",
    ]);
  });
});

describe("MQTT client: reason codes", () => {
  const address = (user: string) => parseMqttUrl(`mqtt://${user}host`).addresses[0]!;
  /** The codes for which the error says that another attempt may help. */
  const temporary = [
    0x80,
    0x83,
    0x88,
    0x89,
    0x8b,
    0x8d,
    0x93,
    0x96,
    0x97,
    0x98,
    0x9c,
    0x9f,
    0xa0,
  ];

  it("CONNACK - refused logins, client identifiers, temporary and other codes", () => {
    const kindOf = (version: 4 | 5, code: number) => {
      const error = connackError(version, code, undefined, address("me@"), "id");
      return error instanceof UnreachableError ? "later" : error.message.replace(/ \(.*\)$/, "");
    };
    const login = "Login refused for user 'me': wrong user or password, or the user may not log in";
    const id = "The server does not accept the client identifier 'id'";
    const other = "The server refused the connection";
    for (const code of codes.slice(0x80)) {
      const expected = [0x86, 0x87, 0x8a].includes(code)
        ? login
        : code === 0x85
        ? id
        : temporary.includes(code)
        ? "later"
        : other;
      assert.equal(kindOf(5, code), expected, `${code}`);
    }
    assert.deepEqual([1, 2, 3, 4, 5, 6, 0x7f].map((code) => kindOf(4, code)), [
      other,
      id,
      "later",
      login,
      login,
      other,
      other,
    ]);
    assert.deepEqual(codes.filter(refusesVersion), [1, 0x84]);
  });

  it("CONNACK - the words name the code, the reason and what is missing", () => {
    const words = (version: 4 | 5, code: number, reason?: string, user = "") =>
      connackError(version, code, reason, address(user), "id").message;
    assert.equal(
      words(4, 5),
      "Login refused, as the server requires a user and a password: mqtt://user:password@host (return code 5)",
    );
    assert.match(
      words(5, 0x87, "no", "me@"),
      /^Login refused for user 'me': .* \(0x87 \(not authorized\): no\)$/,
    );
    assert.equal(words(5, 0x88, ""), "The server refused the connection (0x88 (server unavailable))");
    assert.equal(words(5, 0xf0, "x"), "The server refused the connection (0xf0: x)");
  });

  it("DISCONNECT - temporary codes and those below 0x80 may help later, and a taken session is explained", () => {
    const later = codes.filter((code) => disconnectError(code, undefined) instanceof UnreachableError);
    assert.deepEqual(later, [...codes.slice(0, 0x80), ...temporary]);
    assert.equal(
      disconnectError(0x8b, "x").message,
      "The server closed the connection (0x8b (server shutting down): x)",
    );
    assert.equal(
      disconnectError(0x8e, "").message,
      "Another client connected with the same client identifier (0x8e (session taken over))",
    );
  });

  it("errors - temporary codes do not end a link", () => {
    assert.deepEqual(codes.filter((code) => !isPermanent(new MqttError(code, "x"))), temporary);
    assert.equal(isPermanent(new UnreachableError("x")), false);
  });
});

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
