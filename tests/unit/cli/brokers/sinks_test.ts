/** What processes the messages of a broker: how many may wait. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Session } from "../../../../cli/app/session.ts";
import { ExecSink } from "../../../../cli/brokers/sinks.ts";
import type { Output } from "../../../../cli/io/output.ts";
import { NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import type { Delivery, Inlet } from "../../../../lib/patterns/contract.ts";
import { Signal } from "../../../../lib/transport/waiting.ts";
import { waitFor } from "../../../support/helpers.ts";

const DELIVERY: Delivery = {
  deliveryTag: 1,
  redelivered: false,
  exchange: "",
  routingKey: "t",
  content: {
    properties: NO_PROPERTIES,
    propertiesEnd: NO_PROPERTIES.length,
    body: NO_PROPERTIES,
    bodyStart: 0,
    bodyEnd: 0,
  },
};

describe("exec sink", () => {
  it("commands - the source waits while many messages wait for them: QoS 0 and ack:auto have no window", async () => {
    const session = { stopping: false, onAbort() {}, onStop() {} } as unknown as Session;
    const output = {
      full: false,
      failure: undefined,
      append() {},
      flush() {},
      drained: () => Promise.resolve(),
    } as unknown as Output;
    let resumed = 0;
    const inlet = { generation: 1, changed: new Signal(), resume: () => resumed++, ack() {}, flush() {} };
    const options = { exec: "exit 0", jobs: 1 };
    const sink = new ExecSink(
      session,
      inlet as unknown as Inlet,
      output,
      { framing: "lines", hasTopic: false },
      options,
    );
    for (let i = 0; i < 1500; i++) sink.take(DELIVERY, { generation: 1, tag: i + 1 });
    sink.flush();
    assert.deepEqual([sink.full, resumed], [true, 0]);
    // Messages of a lost connection need no command.
    inlet.generation = 2;
    await waitFor(() => sink.idle);
    assert.deepEqual([sink.full, resumed], [false, 1]);
  });
});
