/** The type of a queue that is declared without one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withDefaultType } from "../../../../../lib/broker/core/topology/declaration_checks.ts";

describe("default type of queues", () => {
  const given = {
    queue: "q",
    passive: false,
    durable: true,
    exclusive: false,
    autoDelete: false,
    arguments: {},
  };
  const cases: [
    what: string,
    change: Partial<typeof given>,
    type: string | undefined,
    expected: string | undefined,
  ][] = [
    ["none", {}, undefined, undefined],
    ["quorum", {}, "quorum", "quorum"],
    ["quorum, but it is named by the server", { queue: "" }, "quorum", undefined],
    ["quorum, but it is not durable", { durable: false }, "quorum", undefined],
    ["quorum, but it is exclusive", { exclusive: true }, "quorum", undefined],
    ["quorum, but it is deleted by itself", { autoDelete: true }, "quorum", undefined],
    ["classic, whatever the queue is", { queue: "", durable: false, exclusive: true }, "classic", "classic"],
    [
      "quorum, but the declaration has another",
      { arguments: { "x-queue-type": "classic" } },
      "quorum",
      "classic",
    ],
  ];
  for (const [what, change, type, expected] of cases) {
    it(`default type - ${what}`, () => {
      const declared = { ...given, ...change };
      const changed = withDefaultType(declared, type);
      assert.equal((changed.arguments as { "x-queue-type"?: string })["x-queue-type"], expected);
      assert.deepEqual({ ...changed, arguments: {} }, { ...declared, arguments: {} });
    });
  }
});
