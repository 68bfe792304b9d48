/** The acknowledgements of received messages, which are sent in the order of arrival. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PendingAcks } from "../../../../lib/mqtt/client/pending_acks.ts";

describe("MQTT client: acknowledgements", () => {
  it("order - acknowledgements are sent in the order of arrival, as a list of all messages has it", () => {
    /** What a test does: a message arrives, or one or all up to it are settled or left, or what is due is sent. */
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ what: fc.constant("add" as const), qos: fc.nat(2) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          what: fc.constantFrom("one" as const, "all" as const, "leave" as const),
          back: fc.integer({ min: -2, max: 150 }),
          code: fc.nat(255),
        }),
      },
      { weight: 1, arbitrary: fc.record({ what: fc.constant("send" as const) }) },
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
      const acks = new PendingAcks();
      const model: { id: number; qos: number; state: "open" | "due" | "silent"; code: number }[] = [];
      let sentUpTo = 0;
      const set = (number: number, state: "due" | "silent", code: number) => {
        const message = model[number - 1];
        if (number <= sentUpTo || message?.state !== "open") return;
        message.state = state;
        message.code = code;
      };
      for (const step of steps) {
        if (step.what === "add") {
          const id = 65535 - model.length * 7;
          model.push({ id, qos: step.qos, state: step.qos === 0 ? "silent" : "open", code: 0 });
          assert.equal(acks.add(id, step.qos), model.length);
        } else if (step.what === "send") {
          const sent: unknown[] = [];
          acks.send((...ack) => void sent.push(ack));
          const expected: unknown[] = [];
          for (let next; (next = model[sentUpTo]) !== undefined && next.state !== "open"; sentUpTo++) {
            if (next.state === "due") expected.push([next.id, next.qos, next.code]);
          }
          assert.deepEqual(sent, expected);
        } else {
          const number = model.length - step.back;
          if (step.what === "leave") acks.leave(number);
          else acks.settle(number, step.what === "all", step.code);
          const first = step.what === "all" ? 1 : number;
          for (let one = first; one <= number; one++) {
            set(one, step.what === "leave" ? "silent" : "due", step.code);
          }
        }
      }
    }));
  });

  it("growth - the ring holds any number of messages, from any position", () => {
    for (const before of [0, 1, 63, 64, 100]) {
      const acks = new PendingAcks();
      const sent: number[] = [];
      const send = () => acks.send((id, qos, code) => void sent.push(id, qos, code));
      for (let i = 0; i < before; i++) acks.settle(acks.add(1, 1), false, 0);
      send();
      sent.length = 0;
      const count = 300;
      for (let i = 0; i < count; i++) assert.equal(acks.add(i, 1 + i % 2), before + i + 1);
      acks.settle(before + count, true, 7);
      send();
      assert.deepEqual(sent, Array.from({ length: count }, (_, i) => [i, 1 + i % 2, 7]).flat());
    }
  });
});
