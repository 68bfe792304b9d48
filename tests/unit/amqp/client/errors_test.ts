import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { endsLink } from "../../../../lib/amqp/client/errors.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { declareQueue } from "../../../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { UnreachableError } from "../../../../lib/errors.ts";

describe("errors that end a link", () => {
  it("refusals of the broker do, lost connections and queues that are away do not", () => {
    const away = "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible";
    assert.equal(endsLink(new AmqpError(404, "NOT_FOUND - no queue 'q' in vhost '/'")), true);
    assert.equal(endsLink(new AmqpError(404, away)), false);
    assert.equal(endsLink(new UnreachableError("connection refused")), false);
  });

  it("a queue that exists with other arguments does: it is not declared again and again", async () => {
    const broker = await Broker.open({});
    const connection = await connectBroker(parseAmqpUrl(await broker.listen("amqp://127.0.0.1:0")));
    await declareQueue(connection, "jobs");
    const error = await declareQueue(connection, "jobs", { arguments: { "x-max-length": 1 } })
      .then(() => undefined, (error) => error);
    assert.match(`${error}`, /as it exists and its x-max-length is not set/);
    assert.equal(endsLink(error), true);
    await connection.close();
    await broker.close();
  });
});
