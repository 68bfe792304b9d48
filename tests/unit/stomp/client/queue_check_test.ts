/** The check that a queue exists, over STOMP. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UnreachableError } from "../../../../lib/errors.ts";
import { dialFirst } from "../../../../lib/link/dial.ts";
import { STOMP } from "../../../../lib/stomp/client/protocol.ts";
import { requireQueue } from "../../../../lib/stomp/client/queue_check.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompError } from "../../../../lib/stomp/stomp_error.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { serveStomp } from "../../../support/scripted_stomp.ts";

describe("STOMP client: does a queue exist", () => {
  /** Checks a queue at a server that answers SUBSCRIBE with these details of an error. */
  async function check(
    details: string | undefined,
    server = "RabbitMQ/3",
  ): Promise<[error: Error | undefined, asked: unknown]> {
    let error: Error | undefined;
    let asked: unknown;
    await serveStomp({
      on(served, { command, headers }) {
        if (command === "CONNECT") {
          served.say("CONNECTED", { version: "1.2", server });
          return true;
        }
        if (command !== "SUBSCRIBE") return false;
        asked = headers;
        if (details === undefined) return false;
        served.say("ERROR", { message: "precondition_failed" }, details);
        return true;
      },
    }, async (url, connections) => {
      const { servers } = parseStompAddress(`${url}?vhost=shop`);
      const connection = await dialFirst(STOMP, servers);
      const checking = requireQueue(connection, "a/b", {
        onEvent: () => assert.fail("the check reports no events"),
      });
      error = await deadline(checking.then(() => undefined, (error) => error), 5000, "the check");
      await connection.close();
      assert.equal(connections.length, asked === undefined ? 1 : 2);
    });
    return [error, asked];
  }

  it("check - a missing queue is an error, an existing one and other servers are not", async () => {
    const asked = {
      id: "exists",
      destination: "/queue/a%2Fb",
      ack: "client",
      "x-expires": "0",
      receipt: "call-1",
    };
    const [missing, question] = await check("PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'a/b'");
    assert.ok(missing instanceof StompError);
    assert.deepEqual([missing.message, question], [
      "not_found: no queue 'a/b' in virtual host 'shop'",
      asked,
    ]);
    assert.deepEqual(await check("PRECONDITION_FAILED - inequivalent arg 'x-expires'"), [undefined, asked]);
    assert.deepEqual(await check(undefined, "mqcat/1"), [undefined, asked]);
    assert.deepEqual(await check("x", "ActiveMQ/5"), [undefined, undefined]);
    assert.deepEqual(await check("x", "a RabbitMQ/3"), [undefined, undefined]);
  });

  it("check - ends with the connection that it is for", async () => {
    await serveStomp({
      on(served, { command }) {
        if (command === "CONNECT" && served.number === 0) {
          served.say("CONNECTED", { version: "1.2", server: "RabbitMQ/3" });
          return true;
        }
        return command === "SUBSCRIBE";
      },
    }, async (url, connections) => {
      const main = await dialFirst(STOMP, parseStompAddress(url).servers);
      const checking = requireQueue(main, "q", {});
      await waitFor(() => connections[1]?.frames[1]?.command === "SUBSCRIBE", 5000, "the question");
      main.abort(new UnreachableError("lost"));
      await assert.rejects(deadline(checking, 5000, "the end of the check"), UnreachableError);
    });
  });
});
