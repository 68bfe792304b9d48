import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { EndpointError } from "../../../../lib/errors.ts";
import { request, requestedAt } from "../../../../lib/patterns/stomp/request.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { waitFor } from "../../../support/helpers.ts";
import { serveStomp } from "../../../support/scripted_stomp.ts";

const DEADLINE = 10_000;

describe("request on STOMP", () => {
  it("request - a name is a queue, and an address without one is refused", () => {
    const at = ["/rpc", "/queue/rpc", "/topic/rpc", "/exchange/x/k"].map((destination) => {
      const { exchange, routingKey } = requestedAt(destination);
      return `${exchange} ${routingKey}`;
    });
    assert.deepEqual(at, [" rpc", " rpc", "amq.topic rpc", "x k"]);
    assert.throws(() => request(parseStompAddress("stomp://host"), { onReply() {} }), EndpointError);
  });

  it("reconnect - requests without a reply are sent again, each with its correlation id", async () => {
    await serveStomp({
      on(served, { command, headers, text }) {
        if (command !== "SEND") return false;
        const reply = () =>
          served.say("MESSAGE", {
            subscription: headers["reply-to"]!,
            "message-id": text,
            destination: "/queue/amq.gen-x",
            "correlation-id": headers["correlation-id"]!,
          }, `${text}!`);
        if (served.number > 0 || text === "a") reply();
        else if (text === "c") served.socket.destroy();
        return false;
      },
    }, async (url, connections) => {
      const address = parseStompAddress(`${url}/rpc`);
      const replies: string[] = [];
      const requester = request(address, {
        jobs: 3,
        reconnect: { first: 1, longest: 20 },
        onReply({ content: { body, bodyStart, bodyEnd } }) {
          replies.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)));
        },
      });
      await requester.start();
      const envelope = { ...requestedAt(address.destination), properties: NO_PROPERTIES };
      const bodies = { bytes: new TextEncoder().encode("abc"), starts: [0, 1, 2], ends: [1, 2, 3] };
      for (let i = 0; i < 3; i++) requester.request(bodies, i, envelope);
      requester.flush();
      await waitFor(() => replies.length === 3, DEADLINE, "the replies");
      await requester.close();
      assert.deepEqual(replies, ["a!", "b!", "c!"]);
      const sent = connections.map(({ frames }) => frames.filter(({ command }) => command === "SEND"));
      assert.deepEqual(sent.map((frames) => frames.map(({ text }) => text)), [["a", "b", "c"], ["b", "c"]]);
      const ids = sent[0]!.map(({ headers }) => headers["correlation-id"]);
      assert.equal(new Set(ids).size, 3);
      assert.deepEqual(sent[1]!.map(({ headers }) => headers["correlation-id"]), ids.slice(1));
      assert.ok(sent[0]!.every(({ headers }) => headers["reply-to"] === "/temp-queue/mqcat"));
    });
  });
});
