/** `queue move --follow`: a shovel between two queues. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tempDir, waitFor } from "../../support/helpers.ts";
import { PATIENCE, summaryOf } from "../../support/mqcat.ts";
import { Proxy } from "../../support/rabbitmq.ts";
import { lines, type QueueContext } from "./context.ts";

export function following(
  { broker, hasStreams, queue, ready, startQueue, test, well }: QueueContext,
): void {
  const has = (name: string, count: number) => async () => await ready(name) === `${count}`;

  test("move --follow - moves what arrives later, survives the loss of both ends, and ends at a signal", async () => {
    const { port } = await broker();
    await using near = await Proxy.to(port);
    await using far = await Proxy.to(port);
    await well(["declare", "followed", "follower"]);
    await well(["put", "followed"], lines(100));
    const args = ["move", "followed", "follower", "--follow", "--summary"];
    using move = await startQueue([...args, "--url", near.url, "--to-url", far.url]);
    await waitFor(has("follower", 100), PATIENCE, "the first messages");
    near.cut();
    await move.waitForStderr(/lost amqp:.*connecting again/);
    await well(["put", "followed"], lines(200));
    await waitFor(has("follower", 300), PATIENCE, "messages after the loss of the source");
    far.cut();
    await well(["put", "followed"], lines(300));
    await waitFor(
      async () => Number(await ready("follower")) >= 600,
      PATIENCE,
      "messages after the loss of the target",
    );
    await waitFor(has("followed", 0), PATIENCE, "the empty source");
    assert.equal(move.code, undefined);
    move.kill("SIGTERM");
    const { code, stderr } = await move.exit();
    assert.equal(code, 143, stderr);
    assert.match(stderr, /moved \d+ from 'followed' to 'follower'/);
    const counts = summaryOf(stderr);
    assert.ok(counts["confirmed"]! >= 600, stderr);
    assert.ok(counts["resent"]! >= 0 && counts["redelivered"]! >= 0, stderr);
    const moved = (await well(["get", "follower", "--drain"])).trimEnd().split("\n");
    assert.equal(new Set(moved).size, 300);
  });

  test("move --follow - waits for room in a full queue, without losing or repeating a message", async () => {
    await well(["declare", "narrow", "-a", "x-max-length=5", "-a", "x-overflow=reject-publish"]);
    await well(["put", "wide", "--declare"], lines(40));
    using move = await startQueue(["move", "wide", "narrow", "--follow", "--summary"]);
    await move.waitForStderr(/queue 'narrow' accepts no messages for now: it is full/);
    const taken = await well(["get", "narrow", "-n", "40"]);
    assert.deepEqual(taken.trimEnd().split("\n").sort(), lines(40).trimEnd().split("\n").sort());
    await waitFor(has("wide", 0), PATIENCE, "the acknowledgements");
    move.kill("SIGINT");
    const { code, stderr } = await move.exit();
    assert.equal(code, 130, stderr);
    assert.deepEqual([summaryOf(stderr)["confirmed"], summaryOf(stderr)["unsent"]], [40, 0], stderr);
    assert.match(stderr, /moved 40 from 'wide' to 'narrow'/);
  });

  test("move --follow - ends with an error when a queue is deleted, after -n messages, and with 3 after -w", async () => {
    await well(["declare", "short", "end"]);
    using move = await startQueue(["move", "short", "end", "--follow"]);
    await well(["put", "short"], lines(1));
    await waitFor(has("end", 1), PATIENCE, "the message");
    await well(["delete", "short", "-q"]);
    const { code, stderr } = await move.exit();
    assert.deepEqual([code, /queue 'short' was deleted/.test(stderr)], [1, true], stderr);
    const idle = await queue(["move", "end", "end2", "--follow", "--declare", "-w", "300ms"]);
    assert.deepEqual([idle.code, /moved 1 from/.test(idle.stderr)], [3, true], idle.stderr);
    const one = await queue(["move", "end2", "end", "--follow", "-n", "1"]);
    assert.equal(one.code, 0, one.stderr);
    const none = await queue(["move", "end", "nowhere", "--follow"]);
    assert.deepEqual([none.code, /there is no queue 'nowhere'/.test(none.stderr)], [1, true], none.stderr);
  });

  test("move --to-url - has a password of its own; that of the source does not reach it", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("password"), "guest\n");
    await well(["declare", "here", "far away"]);
    const args = ["move", "here", "far away", "--to-url", `amqp://guest@127.0.0.1:${(await broker()).port}`];
    const codeOf = async (more: readonly string[], env: Record<string, string> = {}) =>
      (await queue([...args, ...more], { env })).code;
    assert.equal(await codeOf(["--password-file", dir.file("password")]), 4);
    assert.equal(await codeOf([], { MQCAT_PASSWORD: "guest" }), 4);
    assert.equal(await codeOf([], { MQCAT_TO_PASSWORD: "guest" }), 0);
    assert.equal(await codeOf(["--to-password-file", dir.file("password")], { MQCAT_TO_PASSWORD: "no" }), 0);
    const lone = await queue(["move", "here", "far away", "--to-password-file", dir.file("password")]);
    assert.deepEqual([lone.code, /--to-url, which is missing/.test(lone.stderr)], [2, true]);
  });

  if (!hasStreams) return;
  test("move --follow - refuses a stream", async () => {
    await well(["declare", "followed stream", "--stream"]);
    await well(["declare", "copies"]);
    using move = await startQueue(["move", "followed stream", "copies", "--follow"]);
    await waitFor(
      async () => {
        if (move.code === undefined) await well(["put", "followed stream", "-D", "x"]);
        return move.code !== undefined;
      },
      PATIENCE,
      "the error",
    );
    const { code, stderr } = await move.exit();
    assert.deepEqual([code, /is a stream, whose messages can be read but not removed/.test(stderr)], [
      1,
      true,
    ]);
    assert.equal(await ready("copies"), "0");
  });
}
