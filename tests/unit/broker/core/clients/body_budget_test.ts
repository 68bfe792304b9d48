/** The memory for bodies that arrive in several frames. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BodyBudget, type BodyWaiter } from "../../../../../lib/broker/core/clients/body_budget.ts";

describe("body budget", () => {
  function line(limit: number) {
    const budget = new BodyBudget(limit);
    const admitted: string[] = [];
    const waiter = (name: string, size: number): BodyWaiter => {
      const made = { size, admit: () => void admitted.push(name) };
      budget.wait(made);
      return made;
    };
    return { budget, admitted, waiter };
  }

  it("a single body is always accepted, and others up to the limit", () => {
    const { budget } = line(100);
    assert.equal(budget.reserve(500), true);
    assert.equal(budget.reserve(1), false);
    budget.free(500);
    assert.equal(budget.reserve(60), true);
    assert.equal(budget.reserve(40), true);
    assert.equal(budget.reserve(1), false);
    budget.free(40);
    assert.equal(budget.reserve(41), false);
  });

  it("the line is admitted in order, as far as there is room, and nobody overtakes it", () => {
    const { budget, admitted, waiter } = line(100);
    budget.reserve(100);
    for (const [name, size] of [["a", 50], ["b", 60], ["c", 10]] as const) waiter(name, size);
    assert.equal(budget.crowded, true);
    budget.free(60);
    assert.deepEqual(admitted, ["a"]);
    assert.equal(budget.reserve(1), false);
    budget.free(40);
    assert.deepEqual(admitted, ["a"]);
    budget.free(50);
    assert.deepEqual(admitted, ["a", "b", "c"]);
    assert.equal(budget.crowded, false);
    assert.equal(budget.reserve(30), true);
    assert.equal(budget.reserve(1), false);
  });

  it("who leaves the line lets the next ones in", () => {
    const { budget, admitted, waiter } = line(100);
    budget.reserve(50);
    const first = waiter("first", 90);
    const second = waiter("second", 40);
    const third = waiter("third", 10);
    budget.leave(third);
    budget.leave(third);
    assert.deepEqual(admitted, []);
    budget.leave(first);
    assert.deepEqual(admitted, ["second"]);
    budget.leave(second);
    assert.equal(budget.crowded, false);
  });
});
