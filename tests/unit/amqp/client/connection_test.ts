/** A connection whose server has gone. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { ClosedError, UnreachableError } from "../../../../lib/errors.ts";
import { deadline } from "../../../support/helpers.ts";
import { serve } from "../../../support/scripted_broker.ts";

describe("AMQP connection", () => {
  it("open - is refused after the server closed the connection, and after a close of our own", () =>
    serve({}, async (url, connections) => {
      const lost = await connectBroker(parseAmqpUrl(url));
      assert.equal(lost.over, false);
      connections[0]!.socket.destroy();
      await deadline(lost.closed, 5000, "the end");
      assert.equal(lost.over, true);
      await assert.rejects(deadline(lost.open(), 5000, "the refusal"), UnreachableError);
      const closed = await connectBroker(parseAmqpUrl(url));
      await deadline(closed.close(), 5000, "the close");
      assert.equal(closed.over, true);
      await assert.rejects(deadline(closed.open(), 5000, "the refusal"), ClosedError);
    }));

  it("call - on a channel whose connection is lost fails with the loss: another connection may help", () =>
    serve({}, async (url, connections) => {
      const lost = await connectBroker(parseAmqpUrl(url));
      const channel = await lost.open();
      connections[0]!.socket.destroy();
      await deadline(lost.closed, 5000, "the end");
      await assert.rejects(deadline(channel.get("q"), 5000, "the refusal"), UnreachableError);
      const closed = await connectBroker(parseAmqpUrl(url));
      const left = await closed.open();
      await closed.close();
      await assert.rejects(deadline(left.get("q"), 5000, "the refusal"), ClosedError);
    }));
});
