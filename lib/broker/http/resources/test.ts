import { Buffer } from "node:buffer";
import type { Json } from "../../core/definitions/table.ts";
import { queuedMessages } from "../../testing/queued_message.ts";
import { TestClock } from "../../testing/test_clock.ts";
import type { BrokerFaults } from "../../testing/faults.ts";
import { notFound } from "../errors.ts";
import { propertiesToJson, textOf } from "./messages.ts";
import type { Handlers } from "../path_table.ts";
import type { ApiRequest } from "../request.ts";

/** The control of a broker by the tests of its clients, for administrators. Only a broker with a `TestClock` has it. */
export const TEST: Handlers = {
  "POST /api/test/advance": (request) => {
    const clock = clockOf(request);
    clock.advance(request.jsonObject().integer("ms"));
    return { now: clock.now() };
  },
  "POST /api/test/reset": async (request) => {
    clockOf(request);
    await request.broker.reset();
    return undefined;
  },
  "POST /api/test/cut": (request) => {
    clockOf(request);
    return { connections: request.broker.faults.cut() };
  },
  "POST /api/test/delay": (request) =>
    fault(request, (faults) => faults.delay(request.jsonObject().integer("ms"))),
  "POST /api/test/block": (request) => {
    const reason = request.jsonObject().text("reason", "blocked by a test");
    return fault(request, (faults) => faults.block(reason));
  },
  "POST /api/test/nack": (request) => {
    const count = request.jsonObject().integer("count", Number.MAX_SAFE_INTEGER);
    return fault(request, (faults) => faults.nack(count));
  },
  "POST /api/test/full": (request) => fault(request, (faults) => faults.full()),
  "POST /api/test/clear": (request) => fault(request, (faults) => faults.clear()),
  "GET /api/test/messages/:vhost/:name": messages,
};

/** @throws {HttpError} 404: the broker has no test clock; 401: the user is not an administrator */
function clockOf(request: ApiRequest): TestClock {
  const { clock } = request.broker.options;
  if (!(clock instanceof TestClock)) throw notFound();
  request.require();
  return clock;
}

function fault(request: ApiRequest, change: (faults: BrokerFaults) => void): undefined {
  clockOf(request);
  change(request.broker.faults);
}

/** All messages of a queue, also unacknowledged ones, in the order of delivery. */
function messages(request: ApiRequest): Json {
  clockOf(request);
  return queuedMessages(request.core, request.param("name"), request.vhost().name).map((message) => {
    const text = textOf(message.body);
    return {
      exchange: message.exchange,
      routing_key: message.routingKey,
      redelivered: message.redelivered,
      unacknowledged: message.unacknowledged,
      properties: propertiesToJson(message.properties),
      payload: text ?? Buffer.from(message.body).toString("base64"),
      payload_encoding: text === undefined ? "base64" : "string",
    };
  });
}
