import assert from "node:assert/strict";
import fs from "node:fs";
import { requirePeer, tempDir, waitFor } from "../../support/helpers.ts";
import { PATIENCE, summaryOf } from "../../support/mqcat.ts";
import type { RpcContext } from "./context.ts";
import { hasPika, rpcClient, vanish } from "./pika.ts";

const pika = requirePeer("pika", hasPika);

/** `rep`: clients of RabbitMQ's tutorial, failing commands, requesters that are gone. */
export function replies({ test, broker, mqcat, start, declare, ready, client }: RpcContext): void {
  for (const direct of [false, true]) {
    const way = direct ? "direct reply-to" : "a queue for replies";
    pika(`rep - answers a client with ${way}`, async () => {
      const queue = await declare(`answers-${direct}`);
      using rep = await start(["rep", queue, "--exec", "tr a-z A-Z", "-n", "2"]);
      using client = rpcClient((await broker()).url, nameOf(queue), direct, "one\ntwo\n");
      const { code, stdout, stderr } = await client.exit();
      assert.deepEqual([code, stdout.toString()], [0, "ONE \nTWO \n"], stderr);
      assert.deepEqual([(await rep.exit()).code, rep.stderr], [0, ""]);
      assert.equal(await ready(nameOf(queue)), 0);
    });

    pika(`rep - reports a requester with ${way} that is gone, and answers the next one`, async () => {
      const queue = await declare(`gone-${direct}`);
      await vanish((await broker()).url, nameOf(queue), direct);
      using rep = await start(["rep", queue, "--echo", "--summary", "-n", "2"]);
      const asked = await mqcat(["req", queue, "-D", "here"]);
      assert.deepEqual([asked.code, asked.stdout.toString()], [0, "here\n"], asked.stderr);
      const { code, stderr } = await rep.exit();
      assert.equal(code, 0, stderr);
      assert.match(
        stderr,
        /a reply has no receiver, the requester is gone: .*(does not exist|no client receives)/,
      );
      const { sent, dropped, received } = summaryOf(stderr);
      assert.deepEqual([received, sent, dropped], [2, 1, 1]);
      assert.equal(await ready(nameOf(queue)), 0);
    });
  }

  pika("rep - a failing command's output is the reply, and the header x-error has the reason", async () => {
    const queue = await declare("fails");
    using rep = await start(["rep", queue, "--exec", "cat; exit 3", "-n", "1"]);
    using client = rpcClient((await broker()).url, nameOf(queue), true, "part\n");
    const { stdout } = await client.exit();
    assert.equal(stdout.toString(), "part it exited with 3\n");
    const { code, stderr } = await rep.exit();
    assert.equal(code, 6);
    assert.match(
      stderr,
      /--exec: message 1: it exited with 3; its output is the reply, with the header 'x-error'/,
    );
  });

  test("rep --on-error - rejects, dead-letters or requeues the request of a failing command", async () => {
    const queue = await declare("rejects");
    const once = ["rep", queue, "--exec", "exit 3", "-n", "1", "--on-error"];
    const ask = () => mqcat(["req", queue, "-D", "x", "-w", "5s"]);
    {
      using rep = await start([...once, "dead-letter"]);
      assert.equal((await rep.exit()).code, 1);
      assert.match(rep.stderr, /'rejects' has no dead-letter exchange/);
    }
    {
      using rep = await start([...once, "reject", "--max-attempts", "2"]);
      const [asked, { code, stderr }] = await Promise.all([ask(), rep.exit()]);
      assert.deepEqual([asked.code, code], [3, 6], stderr);
      assert.match(stderr, /it exited with 3 \(attempt 1 of 2\)\n.*\(attempt 2 of 2\); it is rejected\n/);
      assert.equal(await ready(nameOf(queue)), 0);
    }
    using rep = await start(["rep", queue, "--exec", "exit 3", "--on-error", "requeue"]);
    const [asked, { code, stderr }] = await Promise.all([ask(), rep.exit()]);
    assert.deepEqual([asked.code, code], [3, 6], stderr);
    assert.match(stderr, /it is requeued, and rep ends/);
    await waitFor(async () => await ready(nameOf(queue)) === 1, PATIENCE, "the request to be requeued");
  });

  test("rep - a request without reply_to is reported and acknowledged", async () => {
    const queue = await declare("unanswerable");
    await (await client()).publish({ exchange: "", routingKey: nameOf(queue) }, "x");
    using rep = await start(["rep", queue, "--exec", "echo ran >&2", "-n", "1"]);
    const { code, stderr } = await rep.exit();
    assert.equal(code, 5);
    assert.equal(stderr, "mqcat: rep: message 1 has no reply_to, so there is no reply; it is acknowledged\n");
    assert.equal(await ready(nameOf(queue)), 0);
  });

  test("rep - the request of a killed worker is answered by another one", async () => {
    const queue = await declare("killed");
    using dir = tempDir();
    const slow = `touch '${dir.file("started")}'; exec sleep 60`;
    using victim = await start(["rep", queue, "--exec", slow]);
    using req = await start(["req", queue, "-D", "survives"]);
    await waitFor(() => fs.existsSync(dir.file("started")), PATIENCE, "the command to run");
    victim.kill("SIGKILL");
    using other = await start(["rep", queue, "--echo", "-n", "1"]);
    const { code, stdout, stderr } = await req.exit();
    assert.deepEqual([code, stdout.toString()], [0, "survives\n"], stderr);
    assert.equal((await other.exit()).code, 0);
  });

  test("rep - replies with lines of stdin or -D, and prints the requests with headers and properties", async () => {
    const queue = await declare("lines");
    using rep = await start(["rep", queue, "-J"], {
      stdin:
        '{"body":"first","headers":{"n":1},"properties":{"content_type":"text/plain"}}\n{"body":"second"}\n',
    });
    const asked = await mqcat([
      "req",
      queue,
      "-j",
      "2",
      "-D",
      "a",
      "-D",
      "b",
      "-H",
      "k: v",
      "-P",
      "type: question",
      "-f",
      "%s %h\\n",
    ]);
    assert.deepEqual([asked.code, asked.stdout.toString()], [0, "first n=1\nsecond \n"], asked.stderr);
    const { code, stdout, stderr } = await rep.exit();
    assert.equal(code, 0, stderr);
    const records = stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(records.map(({ body }) => body), ["a", "b"]);
    assert.deepEqual(records[0].headers, { k: "v" });
    assert.equal(records[0].properties.type, "question");
    assert.match(records[0].properties.reply_to, /^amq\.rabbitmq\.reply-to\./);
  });

  test("rep - a signal ends it after the replies in progress", async () => {
    const queue = await declare("signal");
    using dir = tempDir();
    const exec = `touch '${dir.file("started")}'; until [ -e '${dir.file("go")}' ]; do sleep 0.02; done; cat`;
    using rep = await start(["rep", queue, "-v", "--exec", exec]);
    using req = await start(["req", queue, "-D", "last"]);
    await waitFor(() => fs.existsSync(dir.file("started")), PATIENCE, "the command to run");
    rep.kill("SIGTERM");
    await rep.waitForStderr(/SIGTERM: finishing/);
    fs.writeFileSync(dir.file("go"), "");
    const { code, stdout, stderr } = await req.exit();
    assert.deepEqual([code, stdout.toString()], [0, "last\n"], stderr);
    assert.equal((await rep.exit()).code, 143);
  });
}

/** The queue of an address. */
function nameOf(address: string): string {
  return address.slice(address.lastIndexOf("/") + 1);
}
