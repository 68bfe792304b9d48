import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testFilesOf, testsAt } from "../../../scripts/test_plan.ts";

describe("the plan of the tests", () => {
  it("a failure in a suite of several files - all test files that have the suite run again", () => {
    const files = ["tests/cli/echo_test.ts", "tests/cli/queue_rabbitmq_test.ts", "tests/cli/queue_test.ts"];
    assert.deepEqual(testFilesOf("tests/cli/echo_test.ts", files), files.slice(0, 1));
    assert.deepEqual(testFilesOf("tests/cli/queue/suite.ts", files), files.slice(1));
    // A file of the suite, which the test files do not import themselves.
    assert.deepEqual(testFilesOf("tests/cli/queue/streams.ts", files), files.slice(1));
    assert.deepEqual(testFilesOf("tests/interop/stomp/suite.ts", files), []);
  });

  it("chosen tests - a folder or a file, with or without tests/ before it; a place without tests is an error", () => {
    const unit = testsAt(["unit/scripts"]);
    assert.ok(unit.includes("tests/unit/scripts/test_plan_test.ts"));
    assert.deepEqual(unit.filter((file) => !file.startsWith("tests/unit/scripts/")), []);
    for (const place of ["tests/unit/scripts", "./tests/unit/scripts/", "unit/scripts/"]) {
      assert.deepEqual(testsAt([place]), unit, place);
    }
    assert.deepEqual(testsAt(["unit/scripts/man_test.ts"]), ["tests/unit/scripts/man_test.ts"]);
    assert.ok(testsAt(["tests"]).length > testsAt(["unit"]).length);
    for (const place of ["unit/script", "support", "--verbose", "lib"]) {
      assert.throws(() => testsAt(["unit", place]), {
        message: new RegExp(`no tests at "${place}": name a folder`),
      });
    }
  });
});
