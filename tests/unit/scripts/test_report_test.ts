import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readReport } from "../../../scripts/test_report.ts";

describe("test report", () => {
  it("deno - a group fails because of its step, which has the reason", () => {
    const report = readReport(`<testsuites>
      <testsuite name="./tests/unit/a_test.ts">
        <testcase name="a" classname="./tests/unit/a_test.ts" time="1.5" line="2">
          <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="b" classname="./tests/unit/b_test.ts" time="0.25"></testcase>
      </testsuite>
      <testsuite name="ext:deno_node/testing.ts">
        <testcase name="a &gt; x" classname="ext:deno_node/testing.ts" time="0.001"></testcase>
        <testcase name="a &gt; y" classname="ext:deno_node/testing.ts" time="0.005">
          <failure message="Uncaught Error: no">Error: &quot;no&quot;&#10;    at a_test.ts:1</failure>
        </testcase>
        <testcase name="a &gt; z" classname="ext:deno_node/testing.ts"><skipped message="not installed"/></testcase>
      </testsuite>
    </testsuites>`);
    assert.deepEqual([report.passed, report.failed, report.skipped], [2, 2, 1]);
    assert.deepEqual(report.failedFiles, ["tests/unit/a_test.ts"]);
    assert.deepEqual(report.failures, [{
      file: "",
      name: "a > y",
      text: 'Error: "no"\n    at a_test.ts:1',
    }]);
    assert.deepEqual([...report.files], [["tests/unit/a_test.ts", 1.5], ["tests/unit/b_test.ts", 0.25]]);
  });

  it("bun - a test names its file, and its time counts for it", () => {
    const report = readReport(`<testsuites><testsuite name="a_test.ts" file="tests/unit/a_test.ts">
      <testcase name="x" classname="a" time="0.5" file="tests/unit/a_test.ts" line="2" assertions="0" />
      <testcase name="y" classname="a" time="0.25" file="tests/unit/a_test.ts">
        <failure type="Error" message="no" />
      </testcase>
    </testsuite></testsuites>`);
    assert.deepEqual([report.passed, report.failed, report.skipped], [1, 1, 0]);
    assert.deepEqual(report.failures, [{ file: "tests/unit/a_test.ts", name: "y", text: "no" }]);
    assert.deepEqual([...report.files], [["tests/unit/a_test.ts", 0.75]]);
  });

  it("no report - nothing is counted", () => {
    const { passed, failed, skipped } = readReport("");
    assert.deepEqual([passed, failed, skipped], [0, 0, 0]);
  });
});
