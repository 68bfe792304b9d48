/** The publisher of the MQTT client against a scripted server: QoS, refusals, limits and lost connections. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Envelope } from "../../../../lib/link/message.ts";
import { MqttPublisher, type PublisherOptions } from "../../../../lib/mqtt/client/publisher.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import {
  CONNECT,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
} from "../../../../lib/mqtt/packet_type.ts";
import { waitFor } from "../../../support/helpers.ts";
import {
  ackOf,
  type MqttScript,
  type MqttServed,
  packetsOf,
  published,
  serveMqtt,
} from "../../../support/scripted_mqtt.ts";

const T: Envelope = { exchange: "", routingKey: "t", properties: Uint8Array.of(0, 0) };

function bodies(...texts: string[]) {
  const bytes = new TextEncoder().encode(texts.join(""));
  const ends = texts.map((_, i) => texts.slice(0, i + 1).join("").length);
  return { bytes, starts: [0, ...ends], ends };
}

function publish(publisher: MqttPublisher, envelope: Envelope, ...texts: string[]): number {
  return publisher.publish(bodies(...texts), 0, texts.length, envelope);
}

/** Runs `work` with a publisher that is connected to a scripted server. */
async function withPublisher(
  script: MqttScript,
  work: (publisher: MqttPublisher, connections: readonly MqttServed[]) => Promise<void>,
  options: PublisherOptions = {},
): Promise<void> {
  await serveMqtt(script, async (url, connections) => {
    const publisher = new MqttPublisher(parseMqttUrl(url).addresses, {
      reconnect: { first: 1, longest: 50 },
      ...options,
    });
    try {
      await publisher.start();
      await work(publisher, connections);
    } finally {
      await publisher.close(500);
    }
  });
}

describe("MQTT publisher", () => {
  for (const qos of [0, 1, 2] as const) {
    it(`publish - QoS ${qos} is confirmed, in order, and RETAIN is set if asked for`, () =>
      withPublisher({}, async (publisher, connections) => {
        assert.equal(publish(publisher, T, "a", "bc", ""), 3);
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual([publisher.acknowledged, publisher.takenInOrder, publisher.refused], [3, 3, 0]);
        await publisher.close();
        assert.deepEqual(published(connections[0]!), [
          `t a ${qos} retain`,
          `t bc ${qos} retain`,
          `t  ${qos} retain`,
        ]);
        assert.equal(packetsOf(connections[0]!, DISCONNECT).length, 1);
      }, { qos, retain: true }));
  }

  it("publish - each message may have its own topic and properties", () =>
    withPublisher(
      {},
      async (publisher, connections) => {
        const other = { ...T, routingKey: "u/v", properties: Uint8Array.of(1) };
        assert.equal(publisher.publish(bodies("a", "b", "c"), 0, 3, [T, other, T]), 3);
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual(published(connections[0]!), ["t a 1", "u/v b 1", "t c 1"]);
        const found = packetsOf(connections[0]!, PUBLISH).map(({ properties }) => properties.contentType);
        assert.deepEqual(found, ["2 bytes", "1 bytes", "2 bytes"]);
      },
      {
        mapping: {
          write: ({ length }, into) => into.text(3, `${length} bytes`, "contentType"),
          read: () => assert.fail("a publisher reads nothing"),
        },
      },
    ));

  it("refused - a reason code is a refusal with the reason of the first one; success has several codes", () => {
    let count = 0;
    return withPublisher({
      on(served, packet) {
        if (packet.type !== PUBLISH) return false;
        const answers: [number, string?][] = [[0x10], [0x97, "full"], [0x87, "no access"], [0]];
        served.send(ackOf(PUBACK, packet.value.packetId, ...answers[count++]!));
        return true;
      },
    }, async (publisher) => {
      publish(publisher, T, "a", "b", "c", "d");
      await waitFor(() => publisher.pending === 0);
      assert.deepEqual([publisher.acknowledged, publisher.refused, publisher.takenInOrder], [2, 2, 1]);
      assert.equal(publisher.refusalReason, "0x97 (quota exceeded): full");
    });
  });

  it("mandatory - messages that nobody subscribes to are counted as returned, and reported to their run", async () => {
    for (const qos of [1, 2] as const) {
      await withPublisher({
        on(served, packet) {
          if (packet.type !== PUBLISH) return false;
          const { packetId } = packet.value;
          served.send(ackOf(qos === 1 ? PUBACK : PUBREC, packetId, packetId === 2 ? 0x10 : 0));
          return true;
        },
      }, async (publisher) => {
        const seen: string[] = [];
        const outcome = (name: string) => ({
          onReturn: (_code: number, reason: string) => void seen.push(`${name}: ${reason}`),
          onSettled: (all: boolean) => void seen.push(`${name}: ${all}`),
        });
        publisher.publish(bodies("a"), 0, 1, T, outcome("one"));
        publisher.publish(bodies("b"), 0, 1, T, outcome("two"));
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual([publisher.acknowledged, publisher.returned, publisher.refused], [2, 1, 0]);
        assert.deepEqual(seen.sort(), ["one: true", "two: no client subscribes to the topic", "two: true"]);
      }, { qos, mandatory: true });
    }
  });

  it("answers - those that belong to no message in that state change nothing, or are refused in words", () =>
    withPublisher({
      on: (_, packet) => packet.type === PUBLISH || packet.type === PUBREL,
    }, async (publisher, connections) => {
      const [served] = connections;
      const { send } = served!;
      publish(publisher, T, "a", "b", "c", "d");
      await waitFor(() => published(served!).length === 4);
      // No message has these identifiers; the highest ones are never used.
      const unknown = [5, 16_384, 16_385, 65_535];
      for (const id of unknown) send(ackOf(PUBACK, id), ackOf(PUBCOMP, id, 0x92), ackOf(PUBREC, id));
      // The first message is released twice, and completed once; the answer to a PUBREL refuses nothing.
      send(ackOf(PUBCOMP, 1), ackOf(PUBREC, 1), ackOf(PUBREC, 1, 0x10), ackOf(PUBACK, 1));
      send(ackOf(PUBREC, 2, 0x97, "full"), ackOf(PUBREC, 4, 0x80));
      const releases = () =>
        packetsOf(served!, PUBREL).map(({ packetId, reasonCode }) => [packetId, reasonCode]);
      const expected = [...unknown.map((id) => [id, 0x92]), [1, 0], [1, 0]];
      await waitFor(() => releases().length >= expected.length);
      assert.deepEqual(releases(), expected);
      await waitFor(() => publisher.refused === 2);
      assert.deepEqual([publisher.acknowledged, publisher.pending], [0, 2]);
      send(ackOf(PUBCOMP, 1, 0x92), ackOf(PUBCOMP, 1));
      await waitFor(() => publisher.acknowledged === 1);
      assert.deepEqual([publisher.refused, publisher.returned, publisher.refusalReason], [
        2,
        0,
        "0x97 (quota exceeded): full",
      ]);
      assert.equal(publisher.takenInOrder, 1);
    }, { qos: 2 }));

  it("answers - a packet that a publisher never gets ends the connection, and is answered in MQTT 5.0", () =>
    withPublisher({}, async (publisher, connections) => {
      connections[0]!.send(ackOf(PUBREL, 1));
      await waitFor(() => publisher.failure !== undefined);
      assert.match(publisher.failure!.message, /sent PUBREL to a publisher/);
      const ends = () => packetsOf(connections[0]!, DISCONNECT);
      await waitFor(() => ends().length > 0);
      assert.deepEqual(ends().map(({ reasonCode }) => reasonCode), [0x82]);
    }));

  it("window - respects the receive maximum of the server", () => {
    const held: number[] = [];
    return withPublisher({
      connack: () => ({ properties: { receiveMaximum: 2 } }),
      on(_, packet) {
        if (packet.type === PUBLISH) held.push(packet.value.packetId);
        return packet.type === PUBLISH;
      },
    }, async (publisher, connections) => {
      publish(publisher, T, "a", "b", "c", "d", "e");
      const [served] = connections;
      await waitFor(() => held.length === 2);
      // A ping would come after more messages.
      served!.send(ackOf(PUBACK, held[1]!));
      await waitFor(() => held.length === 3);
      assert.deepEqual(published(served!), ["t a 1", "t b 1", "t c 1"]);
      served!.send(ackOf(PUBACK, held[0]!), ackOf(PUBACK, held[2]!));
      await waitFor(() => held.length === 5);
      served!.send(ackOf(PUBACK, held[3]!), ackOf(PUBACK, held[4]!));
      await waitFor(() => publisher.pending === 0);
      assert.equal(new Set(held).size, 5);
    });
  });

  it("limits - a message over the packet size of the server is refused before it is sent, and others are not", () =>
    withPublisher(
      { connack: () => ({ properties: { maximumPacketSize: 140 } }) },
      async (publisher, connections) => {
        // 1 + 2 bytes of fixed header, topic 3, identifier 2, properties 1.
        const fits = "x".repeat(131);
        assert.equal(publish(publisher, T, fits, `${fits}y`, "z"), 1);
        assert.throws(() => publish(publisher, T, `${fits}y`), {
          name: "LimitError",
          message: /132 bytes.*131/,
        });
        assert.equal(publish(publisher, T, "z"), 1);
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual(published(connections[0]!), [`t ${fits} 1`, "t z 1"]);
      },
    ));

  it("limits - a topic that cannot be published to is refused in words", () =>
    withPublisher({}, async (publisher) => {
      const to = (routingKey: string) => () => publish(publisher, { ...T, routingKey }, "a");
      assert.throws(to(""), /without a topic/);
      assert.throws(to("a/+/b"), /'a\/\+\/b': a topic has no wildcards/);
      assert.throws(to("a\0"), /U\+0000/);
      assert.equal(publisher.publish(bodies("a", "b"), 0, 2, [T, { ...T, routingKey: "#" }]), 1);
      await waitFor(() => publisher.pending === 0);
    }));

  it("limits - a server without the QoS, or without retained messages, is a permanent error", async () => {
    await assert.rejects(
      withPublisher({ connack: () => ({ properties: { maximumQos: 1 } }) }, async () => {}, { qos: 2 }),
      { name: "IncompatiblePeerError", message: /no QoS above 1/ },
    );
    await assert.rejects(
      withPublisher({ connack: () => ({ properties: { retainAvailable: 0 } }) }, async () => {}, {
        retain: true,
      }),
      { name: "IncompatiblePeerError", message: /retained messages/ },
    );
  });

  it("reconnect - unconfirmed messages are published again, in order, and new ones after them", () =>
    withPublisher({
      on: ({ number }, packet) => number === 0 && packet.type === PUBLISH && packet.value.packetId !== 2,
    }, async (publisher, connections) => {
      publish(publisher, T, "a", "b", "c");
      await waitFor(() => publisher.acknowledged === 1 && published(connections[0]!).length === 3);
      publisher.abort(new Error("cut"));
      await waitFor(() => publisher.pending === 0);
      publish(publisher, T, "d");
      await waitFor(() => publisher.pending === 0);
      assert.deepEqual(published(connections[1]!), ["t a 1", "t c 1", "t d 1"]);
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder], [4, 4]);
      const [first, second] = connections.map((served) => packetsOf(served, CONNECT)[0]!);
      assert.equal(first!.clientId, second!.clientId);
    }));

  it("QoS 2 - across a cut each message is published once: the session continues", () =>
    withPublisher({
      connack: ({ number }) => ({ sessionPresent: number > 0 }),
      on({ number, send }, packet) {
        if (number > 0) return false;
        // The first message is released, the second one received, the third one neither.
        if (packet.type === PUBLISH && packet.value.packetId < 3) send(ackOf(PUBREC, packet.value.packetId));
        return packet.type === PUBLISH || packet.type === PUBREL;
      },
    }, async (publisher, connections) => {
      publish(publisher, T, "a", "b", "c");
      await waitFor(() => packetsOf(connections[0]!, PUBREL).length === 2);
      publisher.abort(new Error("cut"));
      await waitFor(() => connections.length === 2);
      publish(publisher, T, "d");
      await waitFor(() => publisher.pending === 0);
      assert.deepEqual(published(connections[0]!), ["t a 2", "t b 2", "t c 2"]);
      assert.deepEqual(published(connections[1]!), ["t c 2 dup", "t d 2"]);
      assert.deepEqual(packetsOf(connections[1]!, PUBREL).map(({ packetId }) => packetId), [1, 2, 3, 4]);
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder], [4, 4]);
      const [first, second] = connections.map((served) => packetsOf(served, CONNECT)[0]!);
      assert.deepEqual([first!.cleanStart, second!.cleanStart], [true, false]);
      assert.equal(first!.properties.sessionExpiryInterval, 3600);
      await publisher.close();
      assert.equal(packetsOf(connections[1]!, DISCONNECT)[0]!.properties.sessionExpiryInterval, 0);
    }, { qos: 2 }));

  it("QoS 2 - a session that the server has lost begins again, and two cuts are survived", () =>
    withPublisher({
      connack: ({ number }) => ({ sessionPresent: number === 2 }),
      on: ({ number }, packet) => number < 2 && packet.type === PUBLISH,
    }, async (publisher, connections) => {
      publish(publisher, T, "a", "b");
      for (const number of [0, 1]) {
        await waitFor(() => connections[number] !== undefined && published(connections[number]).length === 2);
        publisher.abort(new Error("cut"));
      }
      await waitFor(() => publisher.pending === 0);
      assert.deepEqual(published(connections[1]!), ["t a 2", "t b 2"]);
      assert.deepEqual(published(connections[2]!), ["t a 2 dup", "t b 2 dup"]);
    }, { qos: 2 }));

  it("QoS 2 - lower limits end the session, so that no message gets the identifier of another one", () =>
    withPublisher({
      connack: ({ number }) => ({
        sessionPresent: number === 1,
        properties: number === 0 ? {} : { maximumPacketSize: 50 },
      }),
      on: ({ number }, packet) => number === 0 && packet.type === PUBLISH,
    }, async (publisher, connections) => {
      publish(publisher, T, "x".repeat(100), "b");
      await waitFor(() => published(connections[0]!).length === 2);
      publisher.abort(new Error("cut"));
      await waitFor(() => publisher.pending === 0);
      assert.deepEqual([publisher.acknowledged, publisher.refused], [1, 1]);
      assert.match(publisher.refusalReason, /100 bytes/);
      assert.deepEqual(published(connections[2]!), ["t b 2"]);
      assert.equal(packetsOf(connections[2]!, CONNECT)[0]!.cleanStart, true);
    }, { qos: 2 }));

  it("MQTT 3.1.1 - has no properties and no codes; a PUBACK for QoS 2 counts, as RabbitMQ sends it", () =>
    withPublisher(
      {
        connack: (_, packet) => ({ code: packet.type === CONNECT && packet.value.version === 5 ? 1 : 0 }),
        on(served, packet) {
          if (packet.type !== PUBLISH) return false;
          served.send(ackOf(PUBACK, packet.value.packetId));
          return true;
        },
      },
      async (publisher, connections) => {
        publish(publisher, T, "a");
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual([publisher.version, publisher.acknowledged], [4, 1]);
        assert.deepEqual(published(connections[1]!), ["t a 2"]);
        assert.equal(packetsOf(connections[1]!, CONNECT)[0]!.cleanStart, true);
      },
      { qos: 2, mapping: { write: () => assert.fail("no properties in MQTT 3.1.1"), read() {} } },
    ));

  it("load - 10,000 messages in batches, with a small window of the server and cuts", () =>
    withPublisher(
      { connack: () => ({ properties: { receiveMaximum: 100 } }) },
      async (publisher, connections) => {
        const batch = bodies(...Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, "0")));
        let given = 0;
        while (given < 10_000) {
          const at = given % 1000;
          given += publisher.publish(batch, at, 1000, T) - at;
          if (given === 5000 && connections.length === 1) publisher.abort(new Error("cut"));
          if (publisher.pending >= 900) await publisher.changed.wait(1000);
        }
        await waitFor(() => publisher.pending === 0, 30_000);
        assert.deepEqual([publisher.acknowledged, publisher.takenInOrder], [10_000, 10_000]);
        assert.equal(connections.length, 2);
      },
    ));
});
