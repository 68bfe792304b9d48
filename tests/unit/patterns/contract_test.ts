import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Consumer } from "../../../lib/amqp/client/consumer.ts";
import { Publisher } from "../../../lib/amqp/client/publisher.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import type { Inlet, InletEvents, Outlet } from "../../../lib/patterns/contract.ts";

// The types are the test: the annotations below do not compile when a client does not fit the contract.
describe("patterns contract", () => {
  it("patterns contract - AMQP's publisher is an outlet", () => {
    const outlet: Outlet = new Publisher(parseAmqpUrl("amqp://localhost"));
    assert.equal(outlet.pending, 0);
  });

  it("patterns contract - AMQP's consumer is an inlet, with the callbacks of one", () => {
    const events: InletEvents = { onDelivery: () => {} };
    const inlet: Inlet = new Consumer(parseAmqpUrl("amqp://localhost"), "jobs", { ...events });
    assert.equal(inlet.generation, 0);
  });
});
