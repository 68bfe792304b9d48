/** A connection of the MQTT client whose server is the test. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, ProtocolError, UnreachableError } from "../../../../lib/errors.ts";
import { MqttConnection } from "../../../../lib/mqtt/client/connection.ts";
import { Session, type SessionOptions } from "../../../../lib/mqtt/client/session.ts";
import { MqttError } from "../../../../lib/mqtt/mqtt_error.ts";
import { PacketDecoder } from "../../../../lib/mqtt/packet_decoder.ts";
import {
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  type ProtocolVersion,
  PUBACK,
  PUBLISH,
  PUBREL,
  SUBACK,
  UNSUBACK,
} from "../../../../lib/mqtt/packet_type.ts";
import type { MqttProperties } from "../../../../lib/mqtt/properties.ts";
import { captureIntervals } from "../../../support/captured_interval.ts";
import { deadline } from "../../../support/helpers.ts";
import { encodePackets, type Packet, readPacket } from "../../../support/mqtt_packets.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

interface Given {
  version?: ProtocolVersion;
  session?: SessionOptions;
  properties?: MqttProperties;
  maxMessage?: number;
}

class Scripted {
  readonly stream = new ScriptedStream();
  readonly connection: MqttConnection;
  readonly version: ProtocolVersion;
  readonly decoder = new PacketDecoder({ onPacket: () => assert.fail("too early") });
  /** The intervals that the connection started, in milliseconds. */
  readonly delays: readonly number[];
  /** Half a keep alive time passes. */
  readonly beat: (() => void) | undefined;

  constructor({ version = 5, session = { keepAlive: 0 }, properties = {}, maxMessage = 1000 }: Given = {}) {
    this.version = version;
    const { decoder } = this;
    const connack = { sessionPresent: false, code: 0, properties };
    const { result, ticks, delays } = captureIntervals(() =>
      new MqttConnection({ stream: this.stream, decoder, version, connack }, new Session(session), maxMessage)
    );
    this.connection = result;
    this.beat = ticks[0];
    this.delays = delays;
  }

  say(...packets: Packet[]): void {
    this.stream.feed(encodePackets(this.version, packets));
  }

  /** The packets that the client has sent. */
  get sent(): Packet[] {
    const sent: Packet[] = [];
    const decoder = new PacketDecoder({
      onPacket: (type, flags, bytes, start, end) =>
        void sent.push(readPacket(type, flags, bytes, start, end, this.version)),
    });
    decoder.push(this.stream.sent);
    return sent;
  }

  /** Waits until writes are done. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }
}

const message: Packet = {
  type: PUBLISH,
  value: {
    topic: "t",
    payload: Uint8Array.of(1),
    qos: 0,
    dup: false,
    retain: false,
    packetId: 0,
    properties: {},
  },
};
const codes = (type: typeof SUBACK | typeof UNSUBACK, packetId: number): Packet => ({
  type,
  value: { packetId, codes: [0], properties: {} },
});

describe("MQTT client, connection", () => {
  it("limits - are those of the CONNACK, or of the specification", () => {
    assert.deepEqual(new Scripted().connection.limits, {
      receiveMaximum: 65535,
      maximumPacketSize: 268_435_460,
      maximumQos: 2,
      retains: true,
      sharesSubscriptions: true,
    });
    const properties: MqttProperties = {
      receiveMaximum: 3,
      maximumPacketSize: 99,
      maximumQos: 0,
      retainAvailable: 0,
      sharedSubscriptionAvailable: 0,
    };
    assert.deepEqual(new Scripted({ properties }).connection.limits, {
      receiveMaximum: 3,
      maximumPacketSize: 99,
      maximumQos: 0,
      retains: false,
      sharesSubscriptions: false,
    });
  });

  it("limits - of received packets: what the client accepts, and at most what MQTT can express", async () => {
    for (const maxMessage of [Infinity, 268_435_461]) {
      assert.equal(new Scripted({ maxMessage }).decoder.maxPacket, 268_435_460);
    }
    const scripted = new Scripted({ maxMessage: 20 });
    let seen = 0;
    scripted.connection.events = { onPublish: () => seen++ };
    scripted.connection.begin();
    // A fixed header, a topic and its length, no properties, and the payload.
    const sized = (size: number): Packet =>
      ({ ...message, value: { ...message.value, payload: new Uint8Array(size - 6) } }) as Packet;
    scripted.say(sized(20));
    assert.deepEqual([seen, scripted.connection.over], [1, false]);
    scripted.say(sized(21));
    const cause = await deadline(scripted.connection.closed, 5000);
    assert.match(cause!.message, /has 21 bytes: the limit is 20/);
    assert.deepEqual(scripted.sent, [{ type: DISCONNECT, value: { reasonCode: 0x95, properties: {} } }]);
    assert.equal(seen, 1);
  });

  it("input - waits until begin, and the end of each chunk is reported", () => {
    const scripted = new Scripted();
    const seen: string[] = [];
    scripted.connection.events = {
      onPublish: () => seen.push("publish"),
      onAck: (type, { packetId }) => seen.push(`ack ${type} ${packetId}`),
      onBatchEnd: () => seen.push("end"),
    };
    scripted.say(message, { type: PUBACK, value: { packetId: 7, reasonCode: 0, properties: {} } });
    assert.ok(!seen.includes("publish"));
    seen.length = 0;
    scripted.connection.begin();
    assert.deepEqual(seen.splice(0), ["publish", `ack ${PUBACK} 7`, "end"]);
    scripted.say(message, { type: PINGRESP, value: null });
    assert.deepEqual(seen, ["publish", "end"]);
  });

  it("output - is large at 256 KiB; its begin and its end are reported", async () => {
    const scripted = new Scripted();
    const { connection } = scripted;
    const seen: string[] = [];
    connection.events = { onWriting: () => seen.push("begin"), onWritten: () => seen.push("end") };
    connection.flush();
    connection.encoder.ping(PINGREQ);
    connection.flush();
    connection.encoder.out.append(new Uint8Array(256 * 1024 - 1));
    assert.equal(connection.full, false);
    connection.encoder.out.append(new Uint8Array(1));
    assert.equal(connection.full, true);
    assert.deepEqual(seen, ["begin"]);
    await scripted.settle();
    assert.deepEqual(seen, ["begin", "end", "begin", "end"]);
    assert.equal(connection.full, false);
    assert.equal(scripted.stream.sent.length, 2 + 256 * 1024);
  });

  it("reply - is that to the request, of a SUBSCRIBE or an UNSUBSCRIBE; the loss ends the wait", async () => {
    const scripted = new Scripted();
    const { connection } = scripted;
    connection.begin();
    const [first, second, third] = [connection.reply(1), connection.reply(2), connection.reply(3)];
    scripted.say(codes(UNSUBACK, 2), codes(SUBACK, 9), codes(SUBACK, 1));
    assert.equal((await deadline(first, 5000)).packetId, 1);
    assert.equal((await deadline(second, 5000)).packetId, 2);
    connection.abort(new UnreachableError("lost"));
    await assert.rejects(deadline(third, 5000), /^UnreachableError: lost|^Error: lost|lost/);
    await assert.rejects(deadline(connection.reply(4), 5000), /lost/);
    assert.equal(connection.over, true);
  });

  it("keep alive - an idle connection is pinged, and a silent server is given up after two intervals", async () => {
    const scripted = new Scripted({ session: { keepAlive: 10 } });
    const { connection, stream } = scripted;
    connection.begin();
    const beat = async () => {
      const before = stream.sent.length;
      scripted.beat!();
      await scripted.settle();
      return stream.sent.length - before;
    };
    const send = async () => {
      connection.encoder.ping(PINGREQ);
      connection.flush();
      await scripted.settle();
    };
    assert.equal(await beat(), 2);
    // Output alone is not enough, and neither is input.
    await send();
    assert.equal(await beat(), 2);
    scripted.say(message);
    assert.equal(await beat(), 2);
    await send();
    scripted.say(message);
    assert.equal(await beat(), 0);
    for (let i = 0; i < 3; i++) assert.equal(await beat(), 2);
    assert.equal(stream.over, false);
    // A connection that does not read hears nothing.
    connection.pause();
    for (let i = 0; i < 9; i++) await beat();
    assert.equal(stream.over, false);
    connection.resume();
    for (let i = 0; i < 3; i++) await beat();
    assert.equal(stream.over, false);
    scripted.beat!();
    assert.match((await connection.closed)!.message, /sent nothing for 20 s, twice the keep alive time/);
  });

  it("keep alive - a server that says nothing at all is given up after two intervals, too", () => {
    for (const heard of [false, true]) {
      const scripted = new Scripted({ session: { keepAlive: 10 } });
      scripted.connection.begin();
      if (heard) scripted.say(message);
      for (let i = 0; i < (heard ? 4 : 3); i++) scripted.beat!();
      assert.equal(scripted.stream.over, false);
      scripted.beat!();
      assert.equal(scripted.stream.over, true);
    }
  });

  it("keep alive - is that of the server, if it sends one; 0 turns it off", () => {
    const delays = (keepAlive: number, properties: MqttProperties = {}) =>
      new Scripted({ session: { keepAlive }, properties }).delays;
    assert.deepEqual([
      delays(0),
      delays(1),
      delays(1, { serverKeepAlive: 0 }),
      delays(0, { serverKeepAlive: 3 }),
    ], [
      [],
      [500],
      [],
      [1500],
    ]);
  });

  for (const version of [4, 5] as const) {
    it(`an invalid packet - is answered in MQTT 5.0, and ends the connection, version ${version}`, async () => {
      const scripted = new Scripted({ version });
      let seen = 0;
      scripted.connection.events = { onPublish: () => seen++ };
      scripted.connection.begin();
      scripted.say({ type: PINGREQ, value: null }, message);
      scripted.say(message);
      assert.equal(scripted.connection.over, true);
      const cause = await deadline(scripted.connection.closed, 5000);
      assert.ok(cause instanceof MqttError, `${cause}`);
      assert.match(cause.message, /sent PINGREQ, which only a client may send/);
      const expected = version === 4
        ? []
        : [{ type: DISCONNECT, value: { reasonCode: cause.reasonCode, properties: {} } }];
      assert.deepEqual([scripted.sent, seen], [expected, 0]);
    });
  }

  it("a callback that fails - ends the connection with its error", async () => {
    const scripted = new Scripted();
    scripted.connection.events = {
      onPublish() {
        throw new Error("from a callback");
      },
    };
    scripted.connection.begin();
    scripted.say(message);
    assert.equal((await deadline(scripted.connection.closed, 5000))!.message, "from a callback");
    assert.deepEqual(scripted.sent, []);
  });

  it("DISCONNECT - of a server is the error; MQTT 3.1.1 has none", async () => {
    const goodbye: Packet = {
      type: DISCONNECT,
      value: { reasonCode: 0x8b, properties: { reasonString: "maintenance" } },
    };
    const scripted = new Scripted();
    scripted.connection.begin();
    scripted.say(goodbye);
    assert.match((await deadline(scripted.connection.closed, 5000))!.message, /maintenance/);
    const more = new Scripted();
    more.connection.begin();
    more.stream.feed(Uint8Array.of(0xe0, 1, 0x8b, 0xff, 0));
    // It is temporary; the malformed packet that follows would be a permanent error.
    assert.ok(await deadline(more.connection.closed, 5000) instanceof UnreachableError);
    const older = new Scripted({ version: 4 });
    older.connection.begin();
    older.stream.feed(Uint8Array.of(0xe0, 0));
    assert.ok(await deadline(older.connection.closed, 5000) instanceof ProtocolError);
  });

  const ends: [session: SessionOptions, version: ProtocolVersion, properties: MqttProperties][] = [
    [{ keepAlive: 0 }, 5, {}],
    // The session of a random client identifier ends with the client.
    [{ keepAlive: 0, sessionExpiry: 60 }, 5, { sessionExpiryInterval: 0 }],
    [{ keepAlive: 0, sessionExpiry: 1 }, 5, { sessionExpiryInterval: 0 }],
    [{ keepAlive: 0, sessionExpiry: 60, clientId: "me" }, 5, {}],
    [{ keepAlive: 0, sessionExpiry: 60 }, 4, {}],
  ];
  for (const [session, version, properties] of ends) {
    it(`close - ${JSON.stringify(session)}, version ${version}`, async () => {
      const scripted = new Scripted({ session, version });
      const { connection, stream } = scripted;
      let seen = 0;
      connection.events = { onPublish: () => seen++ };
      connection.begin();
      connection.pause();
      const closing = connection.close();
      assert.deepEqual([connection.over, stream.paused], [true, false]);
      scripted.say(message);
      await scripted.settle();
      // The server closes the connection.
      assert.deepEqual([stream.ended, stream.over], [true, false]);
      scripted.stream.feedEnd();
      await deadline(closing, 5000);
      assert.deepEqual([await connection.closed, seen], [undefined, 0]);
      assert.deepEqual(scripted.sent, [{ type: DISCONNECT, value: { reasonCode: 0, properties } }]);
      await assert.rejects(connection.reply(1), ClosedError);
      await connection.close();
    });
  }

  it("close - nothing follows the end of our half", async () => {
    const scripted = new Scripted();
    const { connection, stream } = scripted;
    connection.events = { onAck: () => connection.encoder.ack(PUBREL, 1) };
    connection.begin();
    const closing = connection.close();
    await scripted.settle();
    assert.equal(stream.ended, true);
    stream.feed(Uint8Array.of(0x50, 2, 0, 1));
    await scripted.settle();
    assert.deepEqual(scripted.sent.map(({ type }) => type), [DISCONNECT]);
    stream.feedEnd();
    await deadline(closing, 5000);
  });

  it("close - ends after its time limit", async () => {
    const { connection } = new Scripted();
    await deadline(connection.close(1), 5000);
    assert.equal(await connection.closed, undefined);
  });

  it("the end of the stream - is an error without a close", async () => {
    const { connection, stream } = new Scripted();
    stream.feedEnd();
    assert.match((await connection.closed)!.message, /without a DISCONNECT/);
  });
});
