/** How put and get end: signals, lost connections, readers that exit, timeouts. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { Proxy } from "../../support/rabbitmq.ts";
import { PATIENCE, shell, summaryOf } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

export function endings({ broker, env, queue, ready, startQueue, test, well }: QueueContext): void {
  test("a connection that is cut under load - put and get continue, and no line is lost", async () => {
    const { port } = await broker();
    await using proxy = await Proxy.to(port);
    const stdin = lines(40_000);
    proxy.cutAfter(500_000);
    const { code, stderr } = await queue(["put", "--declare", "cut lines", "--url", proxy.url, "--summary"], {
      stdin,
    });
    assert.deepEqual([code, summaryOf(stderr)["confirmed"]], [0, 40_000], stderr);
    assert.match(stderr, /^mqcat: queue put: lost amqp:.*connecting again$/m);
    assert.doesNotMatch(stderr, /guest/);
    proxy.cutAfter(500_000);
    const got = await queue(["get", "cut lines", "--drain", "--url", proxy.url]);
    assert.deepEqual([got.code, /lost amqp:.*connecting again/.test(got.stderr)], [0, true], got.stderr);
    assert.equal(new Set(got.stdout.toString().trimEnd().split("\n")).size, 40_000);
  });

  test("a signal - put waits for the confirms of the lines it has read, and exits with the signal's code", async () => {
    using put = await startQueue(["put", "--declare", "signalled"], { stdin: "a\nb\n", open: true });
    await waitFor(async () => await ready("signalled") === "2", PATIENCE, "both lines");
    put.kill("SIGTERM");
    assert.equal((await put.exit()).code, 143);
    assert.equal(await well(["get", "signalled", "--drain"]), "a\nb\n");
  });

  test("a broker that is gone for longer than -w - put ends, although its input is open and idle", async () => {
    const { port } = await broker();
    await well(["declare", "idle"]);
    const proxy = await Proxy.to(port);
    const args = ["put", "idle", "--url", proxy.url, "-w", "1s", "--summary"];
    using put = await startQueue(args, { stdin: "a\n", open: true });
    await waitFor(async () => await ready("idle") === "1", PATIENCE, "the first line");
    await proxy[Symbol.asyncDispose]();
    await put.waitForStderr(/lost amqp:/);
    put.write("b\n");
    const { code, stderr } = await put.exit();
    assert.equal(code, 3, stderr);
    assert.match(stderr, /1 message was not confirmed: the broker confirmed nothing for 1 s \(-w\)/);
    assert.deepEqual([summaryOf(stderr)["confirmed"], summaryOf(stderr)["unsent"]], [1, 1]);
  });

  test("get - prints a message as soon as it arrives; -w gives up; a signal ends it, and loses nothing", async () => {
    using get = await startQueue(["get", "live", "--declare"]);
    await waitFor(
      async () => /consumers: 1/.test((await queue(["info", "live"])).stdout.toString()),
      PATIENCE,
    );
    await well(["put", "--declare", "live", "-D", "now"]);
    await get.waitForStdout(/^now\n$/);
    get.kill("SIGINT");
    assert.equal((await get.exit()).code, 130);
    const late = await queue(["get", "live", "-w", "2s"]);
    assert.deepEqual([late.code, late.stdout.length], [3, 0], late.stderr);
    assert.match(late.stderr, /no message arrived for 2 s \(-w\)/);
  });

  test("a reader that exits - unread messages stay in the queue", async () => {
    await well(["put", "--declare", "head"], lines(50_000));
    using head = shell("mqcat queue get head --drain | head -n 1", { env: await env() });
    assert.equal((await head.exit()).stdout.toString(), "line 1\n");
    const left = await well(["get", "head", "--drain"]);
    assert.ok(left.endsWith("line 50000\n"));
    // A pipe holds a little more than 64 KiB, and messages in the pipe may be acknowledged.
    assert.ok(left.length > 300_000, `${left.length}`);
  });
}
