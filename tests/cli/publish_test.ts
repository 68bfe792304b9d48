import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { residentBytes, run, settled, shell, start, summaryOf, test } from "../support/mqcat.ts";

const TOTAL = 3_000_000;
/** Enough to fill all system buffers on the way. */
const numbers = Array.from({ length: TOTAL }, (_, i) => `${i + 1}\n`).join("");

describe("pub", () => {
  test("pub - a subscriber that starts later gets all of a million messages", async () => {
    using pub = shell("seq 1000000 | mqcat pub :0 --summary");
    const endpoint = await pub.readyEndpoint();
    const script =
      `mqcat sub -t '' '${endpoint}' -n 1000000 | cksum; echo \${PIPESTATUS[*]}; seq 1000000 | cksum`;
    const { stdout } = await shell(script).exit();
    const [received, status, expected] = stdout.toString().trimEnd().split("\n");
    assert.deepEqual([received, status], [expected, "0 0"]);
    const { code, stderr } = await pub.exit();
    const { sent, unsent, dropped } = summaryOf(stderr);
    assert.deepEqual([code, sent, unsent, dropped], [0, 1_000_000, 0, 0]);
  });

  test("pub - counts and reports the drops of a stopped subscriber; the other one gets every message", async () => {
    using dir = tempDir();
    using pub = start(["pub", ":0", "--wait-peers", "2", "--summary", "-v"], { stdin: "", open: true });
    const endpoint = await pub.readyEndpoint();
    using good = start(["sub", endpoint, "--transient"], { stdout: dir.file("good") });
    await pub.waitForStderr(/subscribed/);
    using stuck = start(["sub", endpoint, "--transient"], { stdout: dir.file("stuck") });
    await pub.waitForStderr(/subscribed[^]*subscribed/);
    stuck.kill("SIGSTOP");
    pub.write(numbers);
    await pub.waitForStderr(
      /tcp:\/\/127\.0\.0\.1:\d+ does not keep up: dropping messages for it \(--on-full\)/,
    );
    pub.end();
    await waitFor(() => fs.statSync(dir.file("good")).size === numbers.length, 30_000, "all of it to arrive");
    stuck.kill("SIGCONT");
    const { code, stderr } = await pub.exit();
    assert.deepEqual([(await good.exit()).code, (await stuck.exit()).code], [0, 0]);
    assert.equal(fs.readFileSync(dir.file("good"), "utf8"), numbers);
    const received = fs.readFileSync(dir.file("stuck"), "utf8");
    const { sent, dropped, unsent } = summaryOf(stderr);
    assert.deepEqual([code, sent, unsent], [5, TOTAL, 0]);
    assert.equal(received.split("\n").length - 1, TOTAL - dropped!, "all other messages arrived");
    assert.match(
      stderr,
      new RegExp(`^mqcat: pub: dropped ${dropped} messages for subscribers that did not`, "m"),
    );
  });

  test("pub --on-full block - a stopped subscriber holds back all others, and nothing is dropped", async () => {
    using dir = tempDir();
    using pub = start(["pub", ":0", "--wait-peers=2", "--on-full=block", "--summary", "-v"], { open: true });
    const endpoint = await pub.readyEndpoint();
    using good = start(["sub", endpoint, "--transient"], { stdout: dir.file("good") });
    await pub.waitForStderr(/subscribed/);
    using stuck = start(["sub", endpoint, "--transient"], { stdout: dir.file("stuck") });
    await pub.waitForStderr(/subscribed[^]*subscribed/);
    stuck.kill("SIGSTOP");
    pub.write(numbers);
    pub.end();
    const before = await settled(() => fs.statSync(dir.file("good")).size, "the publisher to be held up");
    assert.ok(before < numbers.length);
    const memory = residentBytes(pub.pid);
    assert.ok(memory > 0 && memory < 200e6, `${memory} bytes are resident`);
    stuck.kill("SIGCONT");
    const { code, stderr } = await pub.exit();
    assert.deepEqual([(await good.exit()).code, (await stuck.exit()).code], [0, 0]);
    assert.equal(fs.readFileSync(dir.file("good"), "utf8"), numbers);
    assert.equal(fs.readFileSync(dir.file("stuck"), "utf8"), numbers);
    const { sent, dropped, unsent } = summaryOf(stderr);
    assert.deepEqual([code, sent, dropped, unsent], [0, TOTAL, 0, 0]);
  });

  test("pub - counts no loss for a subscriber that disconnects, and a late one gets new messages", async () => {
    using pub = start(["pub", ":0", "-v"], { stdin: "1\n", open: true });
    const endpoint = await pub.readyEndpoint();
    assert.equal((await run(["sub", endpoint, "-n", "1"])).stdout.toString(), "1\n");
    await pub.waitForStderr(/disconnected/);
    pub.write("2\n");
    using late = start(["sub", endpoint, "--transient"]);
    await pub.waitForStderr(/disconnected[^]*subscribed/);
    pub.write("3\n");
    await late.waitForStdout(/^3\n$/);
    pub.end();
    assert.equal((await pub.exit()).code, 0);
    assert.equal((await late.exit()).stdout.toString(), "3\n");
  });
});
