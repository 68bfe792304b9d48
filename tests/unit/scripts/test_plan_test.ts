import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testFilesOf } from "../../../scripts/test_plan.ts";

describe("the plan of the tests", () => {
  it("a failure in a suite of several files - all test files that have the suite run again", () => {
    const files = ["tests/cli/echo_test.ts", "tests/cli/queue_rabbitmq_test.ts", "tests/cli/queue_test.ts"];
    assert.deepEqual(testFilesOf("tests/cli/echo_test.ts", files), files.slice(0, 1));
    assert.deepEqual(testFilesOf("tests/cli/queue/suite.ts", files), files.slice(1));
    // A file of the suite, which the test files do not import themselves.
    assert.deepEqual(testFilesOf("tests/cli/queue/streams.ts", files), files.slice(1));
    assert.deepEqual(testFilesOf("tests/interop/stomp/suite.ts", files), []);
  });
});
