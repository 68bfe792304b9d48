/** Request and reply on MQTT with our broker, and with a scripted server. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import { PUBACK, PUBLISH, SUBSCRIBE } from "../../../../lib/mqtt/packet_type.ts";
import { reply } from "../../../../lib/patterns/mqtt/reply.ts";
import { request } from "../../../../lib/patterns/mqtt/request.ts";
import type { Requester } from "../../../../lib/patterns/requester.ts";
import type { Delivery } from "../../../../lib/patterns/contract.ts";
import { waitFor } from "../../../support/helpers.ts";
import { ackOf, packetsOf, serveMqtt } from "../../../support/scripted_mqtt.ts";

const RPC = { exchange: "", routingKey: "rpc", properties: NO_PROPERTIES };

function text({ content: { body, bodyStart, bodyEnd } }: Delivery): string {
  return new TextDecoder().decode(body.subarray(bodyStart, bodyEnd));
}

function ask(requester: Requester, body: string): void {
  const bytes = new TextEncoder().encode(body);
  requester.request({ bytes, starts: [0], ends: [bytes.length] }, 0, RPC);
  requester.flush();
}

async function withBroker(work: (url: string) => Promise<void>): Promise<void> {
  const broker = await Broker.open();
  try {
    await work(await broker.listen("mqtt://127.0.0.1:0"));
  } finally {
    await broker.close();
  }
}

describe("request and reply on MQTT", () => {
  it("replies - come in the order of the requests, from any replier of the group", () =>
    withBroker(async (url) => {
      const target = parseMqttUrl(`${url}/rpc`);
      const served = [0, 0];
      const repliers = served.map(() => reply(target, { prefetch: 10 }));
      const replies: string[] = [];
      const requester = request(target, {
        jobs: 20,
        onReply: (delivery) => void replies.push(text(delivery)),
      });
      await Promise.all(repliers.map((replier) => replier.start()));
      const serving = repliers.map(async (replier, i) => {
        for (let found; (found = await replier.receive()) !== undefined;) {
          served[i]!++;
          assert.equal(found.replyTo?.startsWith("mqcat/replies/mqcat"), true);
          replier.reply(found, new TextEncoder().encode(`${text(found.delivery)}!`), {
            contentType: "text/plain",
          });
        }
      });
      try {
        await requester.start();
        const bodies = Array.from({ length: 200 }, (_, i) => `r${i}`);
        for (const body of bodies) {
          while (!requester.hasRoom) await requester.changed.wait(5000);
          ask(requester, body);
        }
        await waitFor(() => requester.unanswered === 0);
        assert.deepEqual(replies, bodies.map((body) => `${body}!`));
        assert.ok(served.every((count) => count > 0), String(served));
        await waitFor(() => repliers.every(({ pending }) => pending === 0));
      } finally {
        await Promise.all([requester, ...repliers].map((end) => end.close()));
        await Promise.all(serving);
      }
    }));

  it("requester - a topic that nobody subscribes to is a failure that names it", () =>
    withBroker(async (url) => {
      const requester = request(parseMqttUrl(`${url}/rpc`), { onReply() {} });
      await requester.start();
      ask(requester, "anyone?");
      await waitFor(() => requester.failure !== undefined);
      assert.match(requester.failure!.message, /No client subscribes to 'rpc'/);
      await requester.close();
    }));

  it("replier - a requester that is gone is reported, and the next request is answered", () =>
    withBroker(async (url) => {
      const target = parseMqttUrl(`${url}/rpc`);
      const seen: string[] = [];
      const replier = reply(target, {
        onReplied: (size) => void seen.push(`replied ${size}`),
        onUndeliverable: (reason) => void seen.push(reason),
      });
      await replier.start();
      const gone = request(target, { onReply() {} });
      await gone.start();
      ask(gone, "a");
      const first = await replier.receive();
      await gone.close();
      replier.reply(first!, new TextEncoder().encode("late"));
      await waitFor(() => seen.length === 1);
      assert.deepEqual(seen, ["no client subscribes to the topic"]);
      const replies: string[] = [];
      const next = request(target, { onReply: (delivery) => void replies.push(text(delivery)) });
      await next.start();
      ask(next, "b");
      const second = await replier.receive();
      replier.reply(second!, new TextEncoder().encode("B"));
      await waitFor(() => replies.length === 1 && seen.length === 2);
      assert.deepEqual([replies, seen[1]], [["B"], "replied 1"]);
      await Promise.all([next.close(), replier.close()]);
    }));

  it("reconnect - requests without a reply are sent again, each with its correlation data", () => {
    const answered: string[] = [];
    return serveMqtt({
      on(served, packet) {
        if (packet.type !== PUBLISH) return false;
        const { payload, packetId, properties: { correlationData, responseTopic } } = packet.value;
        const body = new TextDecoder().decode(payload);
        // After the second connection the other side needs a while to come back.
        const code = served.number === 1 ? 0x10 : 0;
        served.send(ackOf(PUBACK, packetId, code));
        if (code > 0 || served.number === 0 && body !== "a") return true;
        answered.push(body);
        served.publish(responseTopic!, `${body}!`, { properties: { correlationData: correlationData! } });
        return true;
      },
    }, async (url, connections) => {
      const replies: string[] = [];
      const requester = request(parseMqttUrl(`${url}/rpc`), {
        jobs: 3,
        reconnect: { first: 1, longest: 20 },
        onReply: (delivery) => void replies.push(text(delivery)),
      });
      await requester.start();
      for (const body of ["a", "b", "c"]) ask(requester, body);
      await waitFor(() => replies.length === 1 && packetsOf(connections[0]!, PUBLISH).length === 3);
      connections[0]!.socket.destroy();
      await waitFor(() => replies.length === 3, 20_000);
      assert.deepEqual([replies, answered], [["a!", "b!", "c!"], ["a", "b", "c"]]);
      assert.equal(connections.length, 3);
      const [first, second, third] = connections.map((served) =>
        packetsOf(served, PUBLISH).map(({ properties }) =>
          new TextDecoder().decode(properties.correlationData)
        )
      );
      assert.equal(new Set(first).size, 3);
      assert.deepEqual([second, third], [first!.slice(1), first!.slice(1)]);
      const filters = connections.map((served) => packetsOf(served, SUBSCRIBE)[0]!.requests[0]!.filter);
      assert.equal(new Set(filters).size, 1);
      await requester.close();
    });
  });

  it("MQTT 3.1.1 - is refused in words, and so is an address without a topic", async () => {
    await serveMqtt({}, async (url) => {
      const requester = request(parseMqttUrl(`${url}/rpc`), { version: 4, onReply() {} });
      await assert.rejects(requester.start(), {
        name: "IncompatiblePeerError",
        message: /cannot name the topic/,
      });
      const replier = reply(parseMqttUrl(`${url}/rpc`), { version: 4 });
      await assert.rejects(replier.start(), {
        name: "IncompatiblePeerError",
        message: /shared subscriptions/,
      });
      await replier.close();
    });
    assert.throws(() => request(parseMqttUrl("mqtt://host"), { onReply() {} }), { name: "EndpointError" });
  });
});
