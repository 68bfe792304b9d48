/** The subscriber of the MQTT client against a scripted server: acknowledgements, back-pressure, reconnects, refusals. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MqttSubscriber, type SubscriberOptions } from "../../../../lib/mqtt/client/subscriber.ts";
import type { Subscription } from "../../../../lib/mqtt/client/subscriptions.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import {
  CONNECT,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from "../../../../lib/mqtt/packet_type.ts";
import { waitFor } from "../../../support/helpers.ts";
import {
  ackOf,
  type MqttScript,
  type MqttServed,
  packetsOf,
  serveMqtt,
} from "../../../support/scripted_mqtt.ts";

/** A received message: its tag and `topic payload`. */
interface Got {
  readonly generation: number;
  readonly tag: number;
  readonly text: string;
}

/** Runs `work` with a subscriber that is connected to a scripted server. */
async function withSubscriber(
  script: MqttScript,
  work: (subscriber: MqttSubscriber, connections: readonly MqttServed[], got: Got[]) => Promise<void>,
  options: Partial<SubscriberOptions> = {},
  subscriptions: readonly Subscription[] = [{ filter: "a/#" }],
): Promise<void> {
  await serveMqtt(script, async (url, connections) => {
    const got: Got[] = [];
    const subscriber: MqttSubscriber = new MqttSubscriber(parseMqttUrl(url).addresses, subscriptions, {
      reconnect: { first: 1, longest: 50 },
      onDelivery({ deliveryTag: tag, routingKey, redelivered, content: { body, bodyStart, bodyEnd } }) {
        const text = new TextDecoder().decode(body.subarray(bodyStart, bodyEnd));
        const { generation } = subscriber;
        got.push({ generation, tag, text: `${routingKey} ${text}${redelivered ? " again" : ""}` });
      },
      ...options,
    });
    try {
      await subscriber.start();
      await work(subscriber, connections, got);
    } finally {
      await subscriber.close(500);
    }
  });
}

const idsOf = (served: MqttServed, type: typeof PUBACK | typeof PUBREC | typeof PUBCOMP) =>
  packetsOf(served, type).map(({ packetId }) => packetId);

/** Sends the messages m1 and m2 with QoS 2 on the first connection, and waits for them. */
async function receiveTwo(connections: readonly MqttServed[], got: readonly Got[]): Promise<void> {
  for (const packetId of [1, 2]) connections[0]!.publish("a", `m${packetId}`, { qos: 2, packetId });
  await waitFor(() => got.length === 2);
}

/** Waits until the subscriber has subscribed on its second connection. */
async function again(connections: readonly MqttServed[]): Promise<void> {
  await waitFor(() => connections[1] !== undefined && packetsOf(connections[1], SUBSCRIBE).length === 1);
}

describe("MQTT subscriber", () => {
  it("subscribe - sends the filters with their QoS, and announces how much it takes", () =>
    withSubscriber(
      {},
      async (_, connections) => {
        assert.deepEqual(packetsOf(connections[0]!, SUBSCRIBE)[0]!.requests, [
          { filter: "a/+", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 1 },
          { filter: "b", qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 1 },
        ]);
        assert.equal(packetsOf(connections[0]!, CONNECT)[0]!.properties.receiveMaximum, 7);
        await Promise.resolve();
      },
      { receiveMaximum: 7 },
      [{ filter: "a/+", qos: 0 }, { filter: "b", noLocal: true }],
    ));

  it("acknowledge - nothing is sent before the user asks for it, and then in the order of arrival", () =>
    withSubscriber({}, async (subscriber, connections, got) => {
      const [served] = connections;
      for (const packetId of [10, 11, 12, 13]) served!.publish("a/b", `m${packetId}`, { qos: 1, packetId });
      served!.publish("a/b", "m0");
      await waitFor(() => got.length === 5);
      assert.deepEqual(got.map(({ text }) => text), ["a/b m10", "a/b m11", "a/b m12", "a/b m13", "a/b m0"]);
      subscriber.ack(got[1]!, false);
      subscriber.ack(got[2]!, false);
      subscriber.flush();
      assert.deepEqual(idsOf(served!, PUBACK), []);
      subscriber.ack(got[0]!, false);
      subscriber.flush();
      await waitFor(() => idsOf(served!, PUBACK).length === 3);
      subscriber.ack(got[4]!, true);
      subscriber.ack(got[4]!, true);
      subscriber.flush();
      await waitFor(() => idsOf(served!, PUBACK).length === 4);
      assert.deepEqual(idsOf(served!, PUBACK), [10, 11, 12, 13]);
    }));

  it("acknowledge - a rejected message has a code; a requeued one stays unacknowledged, and delays no other", () =>
    withSubscriber({}, async (subscriber, connections, got) => {
      const [served] = connections;
      for (const packetId of [1, 2, 3, 4]) served!.publish("a", "m", { qos: 1, packetId });
      await waitFor(() => got.length === 4);
      subscriber.nack(got[3]!, false);
      subscriber.nack(got[0]!, true);
      subscriber.nack(got[1]!, false);
      subscriber.ack(got[2]!, false);
      subscriber.flush();
      await waitFor(() => idsOf(served!, PUBACK).length === 3);
      const found = packetsOf(served!, PUBACK).map(({ packetId, reasonCode }) => [packetId, reasonCode]);
      assert.deepEqual(found, [[2, 0x80], [3, 0], [4, 0x80]]);
    }));

  it("QoS 2 - a message is delivered once, whatever the server repeats", () =>
    withSubscriber(
      { on: (_, packet) => packet.type === PUBREC },
      async (subscriber, connections, got) => {
        const [served] = connections;
        served!.publish("a", "m", { qos: 2, packetId: 5 });
        served!.publish("a", "m", { qos: 2, packetId: 5, dup: true });
        await waitFor(() => got.length === 1);
        subscriber.ack(got[0]!, false);
        subscriber.flush();
        await waitFor(() => idsOf(served!, PUBREC).length === 1);
        served!.publish("a", "m", { qos: 2, packetId: 5, dup: true });
        await waitFor(() => idsOf(served!, PUBREC).length === 2);
        served!.send(ackOf(PUBREL, 5), ackOf(PUBREL, 5));
        await waitFor(() => idsOf(served!, PUBCOMP).length === 2);
        assert.deepEqual(packetsOf(served!, PUBCOMP).map(({ reasonCode }) => reasonCode), [0, 0x92]);
        served!.publish("a", "next", { qos: 2, packetId: 5 });
        await waitFor(() => got.length === 2);
        assert.deepEqual(got.map(({ text }) => text), ["a m", "a next"]);
      },
      {},
      [{ filter: "a", qos: 2 }],
    ));

  it("QoS 2 - across a cut a message that was received is not delivered again if the session continues", () =>
    withSubscriber(
      {
        connack: ({ number }) => ({ sessionPresent: number > 0 }),
        on: (_, packet) => packet.type === PUBREC,
      },
      async (subscriber, connections, got) => {
        await receiveTwo(connections, got);
        subscriber.ack(got[0]!, false);
        subscriber.flush();
        await waitFor(() => idsOf(connections[0]!, PUBREC).length === 1);
        subscriber.abort(new Error("cut"));
        await again(connections);
        const connect = packetsOf(connections[1]!, CONNECT)[0]!;
        assert.deepEqual([connect.cleanStart, connect.properties.sessionExpiryInterval], [false, 60]);
        // It is not acknowledged on the new connection, whose messages have other tags.
        subscriber.ack(got[1]!, false);
        for (const packetId of [1, 2]) {
          connections[1]!.publish("a", `m${packetId}`, { qos: 2, packetId, dup: true });
        }
        await waitFor(() => got.length === 3);
        assert.deepEqual(got[2]!.text, "a m2 again");
        await waitFor(() => idsOf(connections[1]!, PUBREC).length > 0);
        assert.deepEqual(idsOf(connections[1]!, PUBREC), [1]);
      },
      { sessionExpiry: 60 },
      [{ filter: "a", qos: 2 }],
    ));

  it("QoS 2 - a message that is acknowledged when the connection is lost already is not delivered again", () => {
    let acknowledge = () => {};
    return withSubscriber(
      {
        connack({ number }) {
          if (number > 0) acknowledge();
          return { sessionPresent: number > 0 };
        },
        on: (_, packet) => packet.type === PUBREC,
      },
      async (subscriber, connections, got) => {
        await receiveTwo(connections, got);
        acknowledge = () => {
          subscriber.ack(got[0]!, false);
          subscriber.flush();
        };
        subscriber.abort(new Error("cut"));
        await again(connections);
        for (const packetId of [1, 2]) {
          connections[1]!.publish("a", `m${packetId}`, { qos: 2, packetId, dup: true });
        }
        await waitFor(() => got.length >= 3);
        await waitFor(() => idsOf(connections[1]!, PUBREC).length > 0);
        assert.deepEqual(got.slice(2).map(({ text }) => text), ["a m2 again"]);
        assert.deepEqual(idsOf(connections[1]!, PUBREC), [1]);
      },
      { sessionExpiry: 60 },
      [{ filter: "a", qos: 2 }],
    );
  });

  it("QoS 2 - a rejection is the end of a message in MQTT 5.0; before that it is an acknowledgement", async () => {
    for (const version of [5, 4] as const) {
      await withSubscriber(
        { on: (_, packet) => packet.type === PUBREC },
        async (subscriber, connections, got) => {
          const [served] = connections;
          for (const packetId of [5, 6]) served!.publish("a", `m${packetId}`, { qos: 2, packetId });
          await waitFor(() => got.length === 2);
          subscriber.nack(got[0]!, false);
          subscriber.ack(got[1]!, false);
          subscriber.flush();
          await waitFor(() => idsOf(served!, PUBREC).length === 2);
          // The identifier of a rejected message is free in MQTT 5.0.
          for (const packetId of [5, 6]) served!.publish("a", `n${packetId}`, { qos: 2, packetId });
          served!.send(ackOf(PUBREL, 5), ackOf(PUBREL, 6));
          await waitFor(() => idsOf(served!, PUBCOMP).length === 2);
          const texts = got.map(({ text }) => text);
          assert.deepEqual(texts, version === 5 ? ["a m5", "a m6", "a n5"] : ["a m5", "a m6"]);
          const codes = (type: typeof PUBREC | typeof PUBCOMP) =>
            packetsOf(served!, type).map(({ packetId, reasonCode }) => `${packetId} ${reasonCode}`);
          assert.deepEqual(
            codes(PUBREC),
            version === 5 ? ["5 128", "6 0", "6 0"] : ["5 0", "6 0", "5 0", "6 0"],
          );
          assert.deepEqual(codes(PUBCOMP), version === 5 ? ["5 146", "6 0"] : ["5 0", "6 0"]);
        },
        { version },
        [{ filter: "a", qos: 2 }],
      );
    }
  });

  it("QoS 2 - identifiers are new on the next connection if the server has lost the session", () =>
    withSubscriber(
      { on: (_, packet) => packet.type === PUBREC },
      async (subscriber, connections, got) => {
        await receiveTwo(connections, got);
        subscriber.ack(got[0]!, false);
        subscriber.flush();
        await waitFor(() => idsOf(connections[0]!, PUBREC).length === 1);
        subscriber.abort(new Error("cut"));
        await again(connections);
        for (const packetId of [1, 2]) connections[1]!.publish("a", `n${packetId}`, { qos: 2, packetId });
        await waitFor(() => got.length === 4);
        assert.deepEqual(got.slice(2), [
          { generation: 2, tag: 1, text: "a n1" },
          { generation: 2, tag: 2, text: "a n2" },
        ]);
        // Receipts of the first connection mean nothing on the second.
        subscriber.nack(got[1]!, false);
        subscriber.nack(got[0]!, true);
        subscriber.ack(got[1]!, true);
        subscriber.ack(got[2]!, false);
        subscriber.flush();
        await waitFor(() => idsOf(connections[1]!, PUBREC).length === 1);
        assert.deepEqual(
          packetsOf(connections[1]!, PUBREC).map(({ packetId, reasonCode }) => [packetId, reasonCode]),
          [
            [1, 0],
          ],
        );
      },
      { sessionExpiry: 60 },
      [{ filter: "a", qos: 2 }],
    ));

  it("batches - their end is reported once for each chunk that has messages", async () => {
    let ends = 0;
    await withSubscriber({}, async (subscriber, connections, got) => {
      const [served] = connections;
      assert.equal(ends, 0);
      served!.socket.cork();
      for (let i = 0; i < 3; i++) served!.publish("a/b", `${i}`);
      served!.socket.uncork();
      await waitFor(() => ends > 0);
      assert.deepEqual([got.length, ends], [3, 1]);
      // A chunk without messages has no end.
      served!.send(ackOf(PUBREL, 7));
      await waitFor(() => idsOf(served!, PUBCOMP).length === 1);
      assert.equal(ends, 1);
      served!.publish("a/b", "last");
      await waitFor(() => ends === 2);
      assert.equal(subscriber.failure, undefined);
    }, { onBatchEnd: () => void ends++ });
  });

  it("a packet for publishers - ends the connection with an error in words", () =>
    withSubscriber({}, async (subscriber, connections) => {
      connections[0]!.send(ackOf(PUBACK, 1));
      await waitFor(() => subscriber.failure !== undefined);
      assert.match(subscriber.failure!.message, /sent PUBACK to a subscriber/);
      await waitFor(() => packetsOf(connections[0]!, DISCONNECT).length === 1);
      assert.equal(packetsOf(connections[0]!, DISCONNECT)[0]!.reasonCode, 0x82);
    }));

  it("session - messages that follow the CONNACK at once are delivered", () =>
    withSubscriber(
      {
        connack(served) {
          // In the same chunk as the CONNACK, and before the SUBACK.
          served.socket.cork();
          queueMicrotask(() => {
            for (const packetId of [1, 2]) served.publish("a", `kept ${packetId}`, { qos: 1, packetId });
            served.socket.uncork();
          });
          return { sessionPresent: true };
        },
      },
      async (_, connections, got) => {
        await waitFor(() => got.length === 2);
        const connect = packetsOf(connections[0]!, CONNECT)[0]!;
        assert.deepEqual([connect.clientId, connect.cleanStart], ["own", false]);
      },
      { clientId: "own", sessionExpiry: 60 },
    ));

  it("session - one with a name of its own is kept: neither UNSUBSCRIBE nor an expiry of 0 at the end", () =>
    withSubscriber({}, async (subscriber, connections) => {
      await subscriber.cancel();
      await subscriber.close();
      assert.equal(packetsOf(connections[0]!, UNSUBSCRIBE).length, 0);
      assert.deepEqual(packetsOf(connections[0]!, DISCONNECT).map(({ properties }) => properties), [{}]);
    }, { clientId: "own", sessionExpiry: 60 }));

  it("cancel - unsubscribes, and delivered messages can be acknowledged", () =>
    withSubscriber({}, async (subscriber, connections, got) => {
      connections[0]!.publish("a/b", "m", { qos: 1, packetId: 9 });
      await waitFor(() => got.length === 1);
      await subscriber.cancel();
      assert.deepEqual(packetsOf(connections[0]!, UNSUBSCRIBE)[0]!.filters, ["a/#"]);
      connections[0]!.publish("a/b", "late", { qos: 1, packetId: 10 });
      subscriber.ack(got[0]!, false);
      subscriber.flush();
      await subscriber.close();
      assert.deepEqual(idsOf(connections[0]!, PUBACK), [9]);
      assert.equal(got.length, 1);
    }));

  it("cancel - ends after its limit if the server does not answer, and no later connection subscribes", async () => {
    await withSubscriber(
      { on: (_, packet) => packet.type === UNSUBSCRIBE },
      async (subscriber, connections, got) => {
        await subscriber.cancel(1);
        await waitFor(() => packetsOf(connections[0]!, UNSUBSCRIBE).length === 1);
        // What still comes is not delivered.
        connections[0]!.publish("a/b", "late", { qos: 1, packetId: 3 });
        connections[0]!.send(ackOf(PUBREL, 7));
        await waitFor(() => idsOf(connections[0]!, PUBCOMP).length === 1);
        assert.deepEqual(got, []);
        // Further connections do not subscribe again.
        subscriber.abort(new Error("cut"));
        await waitFor(() => connections.length >= 3 && connections[1]!.socket.closed);
        assert.deepEqual(connections.slice(1).flatMap((served) => packetsOf(served, SUBSCRIBE)), []);
      },
    );
  });

  it("reconnect - subscribes again", () =>
    withSubscriber({}, async (subscriber, connections, got) => {
      connections[0]!.socket.destroy();
      await waitFor(() => connections[1] !== undefined && packetsOf(connections[1], SUBSCRIBE).length === 1);
      connections[1]!.publish("a/x", "after");
      await waitFor(() => got.length === 1);
      assert.deepEqual([got[0], subscriber.failure], [
        { generation: 2, tag: 1, text: "a/x after" },
        undefined,
      ]);
    }));

  it("pause - stops reading until resume, also across a reconnect", () =>
    withSubscriber({}, async (subscriber, connections, got) => {
      subscriber.pause();
      subscriber.abort(new Error("cut"));
      await waitFor(() => connections[1] !== undefined && packetsOf(connections[1], SUBSCRIBE).length === 1);
      await waitFor(() => subscriber.generation === 2);
      const chunk = "x".repeat(60_000);
      for (let i = 0; i < 200; i++) connections[1]!.publish("a/x", chunk);
      await waitFor(() => connections[1]!.socket.writableLength > 2 ** 20);
      assert.ok(got.length < 100, String(got.length));
      subscriber.resume();
      await waitFor(() => got.length === 200);
    }));

  it("refused - a filter is a permanent error that names it, also after a reconnect", async () => {
    const script = (from: number): MqttScript => ({
      on(served, packet) {
        if (packet.type !== SUBSCRIBE || served.number < from) return false;
        const { packetId } = packet.value;
        served.send({
          type: SUBACK,
          value: { packetId, properties: { reasonString: "secret" }, codes: [1, 0x87] },
        });
        return true;
      },
    });
    const filters = [{ filter: "mine" }, { filter: "theirs" }];
    const refusal = { name: "RefusedError", message: /'theirs' \(0x87 \(not authorized\): secret\)/ };
    await assert.rejects(withSubscriber(script(0), async () => {}, {}, filters), refusal);
    // An answer with too few codes refuses the others; MQTT 3.1.1 has return codes without words.
    const short = (...codes: number[]): MqttScript => ({
      on(served, packet) {
        if (packet.type !== SUBSCRIBE) return false;
        served.send({ type: SUBACK, value: { packetId: packet.value.packetId, properties: {}, codes } });
        return true;
      },
    });
    await assert.rejects(withSubscriber(short(2), async () => {}, {}, filters), {
      name: "RefusedError",
      message: "The server refused the subscription to 'theirs' (0x80 (unspecified))",
    });
    await assert.rejects(withSubscriber(short(0x80, 0), async () => {}, { version: 4 }, filters), {
      name: "RefusedError",
      message: "The server refused the subscription to 'mine' (return code 128)",
    });
    await withSubscriber(short(0x7f, 2), () => Promise.resolve(), {}, filters);
    await withSubscriber(
      script(1),
      async (subscriber, connections) => {
        connections[0]!.socket.destroy();
        await waitFor(() => subscriber.failure !== undefined);
        assert.match(subscriber.failure!.message, refusal.message);
      },
      {},
      filters,
    );
  });

  it("shared - needs MQTT 5.0 and a server that has them; an invalid filter is refused at once", async () => {
    const shared = [{ filter: "$share/g/a/#" }];
    // A shared subscription always has the own messages.
    await withSubscriber(
      {},
      (_, connections) => {
        const { requests } = packetsOf(connections[0]!, SUBSCRIBE)[0]!;
        return Promise.resolve(assert.deepEqual(requests.map(({ noLocal }) => noLocal), [false, true]));
      },
      {},
      [{ filter: "$share/g/a/#", noLocal: true }, { filter: "b", noLocal: true }],
    );
    await assert.rejects(
      withSubscriber(
        { connack: () => ({ properties: { sharedSubscriptionAvailable: 0 } }) },
        async () => {},
        {},
        shared,
      ),
      {
        name: "IncompatiblePeerError",
        message: /'\$share\/g\/a\/#': the server has no shared subscriptions$/,
      },
    );
    await assert.rejects(withSubscriber({}, async () => {}, { version: 4 }, shared), {
      name: "IncompatiblePeerError",
      message: /as it speaks only MQTT 3\.1\.1/,
    });
    for (const filter of ["", "a/b#", "a+", "$share/g", "$share//a"]) {
      assert.throws(
        () => new MqttSubscriber([], [{ filter }], { onDelivery() {} }),
        { name: "RangeError", message: /Cannot subscribe to '/ },
        filter,
      );
    }
  });

  it("errors - a message over the limit, a topic alias, and a callback that throws end the connection", async () => {
    await withSubscriber({}, async (subscriber, connections) => {
      connections[0]!.publish("a/b", "0123456789!");
      await waitFor(() => subscriber.failure !== undefined);
      assert.match(subscriber.failure!.message, /11 bytes: the limit is 10/);
    }, { maxMessageSize: 10 });
    await withSubscriber({}, async (subscriber, connections) => {
      connections[0]!.publish("", "x", { properties: { topicAlias: 1 } });
      await waitFor(() => subscriber.failure !== undefined);
      assert.match(subscriber.failure!.message, /topic alias/);
    });
  });
});
