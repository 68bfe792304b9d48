/** What a transaction keeps until its commit, and its limits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import { Transaction } from "../../../../../lib/broker/amqp/channel/transaction.ts";
import { ACK, REJECT, REQUEUE } from "../../../../../lib/broker/core/clients/outcome.ts";
import { encodeMessage } from "../../../../../lib/broker/core/message.ts";

const MIB = 2 ** 20;

const message = (size: number) => encodeMessage({ exchange: "", routingKey: "q" }, {}, new Uint8Array(size));

/** A transaction on a channel with deliveries. Messages with the routing key "full" are refused. */
function begin(last = 10): { transaction: Transaction; done: string[] } {
  const done: string[] = [];
  const transaction = new Transaction({
    publishing: {
      publish(exchange, key, mandatory, { bodyStart, bodyEnd }) {
        done.push(`publish ${exchange} ${key} ${mandatory} ${bodyEnd - bodyStart}`);
        return key !== "full";
      },
    },
    consuming: {
      deliveries: { last },
      slotOf(tag) {
        if (tag > last) throw new Error("unknown");
        return tag;
      },
      apply: (outcome, tag, multiple) => void done.push(`apply ${outcome} ${tag} ${multiple}`),
      applyUpTo: (outcome, tag) => void done.push(`up to ${outcome} ${tag}`),
    },
  });
  return { transaction, done };
}

const refused = (code: number) => (error: unknown) => error instanceof AmqpError && error.replyCode === code;

describe("transaction", () => {
  it("commit - first the messages, then the acknowledgements, in order; another commit has nothing", () => {
    const { transaction, done } = begin();
    transaction.settle(ACK, 3, true);
    transaction.publish("e", "k", true, message(3));
    transaction.settle(REJECT, 5, false);
    transaction.publish("", "q", false, message(0));
    transaction.settle(REQUEUE, 0, true);
    assert.deepEqual(done, []);
    assert.equal(transaction.commit(), true);
    assert.deepEqual(done.splice(0), [
      "publish e k true 3",
      "publish  q false 0",
      `up to ${ACK} 3`,
      `apply ${REJECT} 5 false`,
      `up to ${REQUEUE} 10`,
    ]);
    assert.equal(transaction.commit(), true);
    assert.deepEqual(done, []);
  });

  it("commit - is not complete when a message was refused, whatever follows", () => {
    for (const keys of [["full", "q"], ["q", "full"], ["full", "full"]]) {
      const { transaction, done } = begin();
      for (const key of keys) transaction.publish("", key, false, message(1));
      assert.equal(transaction.commit(), false);
      assert.equal(done.length, 2);
    }
  });

  it("settle - a delivery only once, and 0 stands for those up to now", () => {
    const { transaction, done } = begin();
    transaction.settle(ACK, 5, false);
    assert.throws(() => transaction.settle(ACK, 5, false), refused(406));
    transaction.settle(ACK, 3, true);
    for (const tag of [1, 3, 5]) {
      assert.equal(transaction.settles(tag), true);
      assert.throws(() => transaction.settle(ACK, tag, false), refused(406));
    }
    for (const tag of [4, 6]) assert.equal(transaction.settles(tag), false);
    assert.throws(() => transaction.settle(ACK, 11, false), /unknown/);
    transaction.settle(ACK, 0, true);
    // Nothing is left, so this is no operation.
    transaction.settle(ACK, 0, true);
    assert.equal(transaction.settles(10), true);
    transaction.rollback();
    assert.equal(transaction.settles(10), false);
    assert.equal(transaction.settles(5), false);
    assert.equal(transaction.commit(), true);
    assert.deepEqual(done, []);
  });

  it("limits - 100,000 messages and 100,000 acknowledgements", () => {
    const { transaction, done } = begin();
    const empty = message(0);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100_000; i++) transaction.publish("", "q", false, empty);
      assert.throws(() => transaction.publish("", "q", false, empty), refused(506));
      transaction.rollback();
    }
    transaction.publish("", "q", false, empty);
    transaction.commit();
    assert.equal(done.length, 1);
    const many = begin(100_001).transaction;
    for (let tag = 1; tag <= 100_000; tag++) many.settle(ACK, tag, false);
    assert.throws(() => many.settle(ACK, 100_001, false), refused(506));
    many.rollback();
    many.settle(ACK, 1, false);
  });

  it("limits - 128 MiB of bodies", () => {
    const { transaction } = begin();
    const large = message(64 * MIB);
    for (let round = 0; round < 2; round++) {
      transaction.publish("", "q", false, large);
      transaction.publish("", "q", false, large);
      assert.throws(() => transaction.publish("", "q", false, message(1)), refused(506));
      transaction.rollback();
    }
  });
});
