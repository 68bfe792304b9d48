/** RabbitMQ's streams, which the embedded broker does not have. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { Proxy } from "../../support/rabbitmq.ts";
import { PATIENCE } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

export function streams({ broker, hasStreams, queue, ready, startQueue, test, well }: QueueContext): void {
  if (!hasStreams) {
    return test("streams - are refused with an error", async () => {
      await well(["declare", "plain"]);
      for (const args of [["declare", "log", "--stream"], ["peek", "plain", "--offset", "first"]]) {
        const { code, stderr } = await queue(args);
        assert.deepEqual([code, /stream/.test(stderr), stderr.split("\n").length], [1, true, 2], stderr);
      }
    });
  }

  test("declare --stream - sets the limits of a stream; info shows its leader and members", async () => {
    await well([
      "declare",
      "limited",
      "--stream",
      "--max-age",
      "7d",
      "--segment-size",
      "1M",
      "--members",
      "1",
    ]);
    const info = await waitFor(async () => {
      const facts = JSON.parse(await well(["info", "limited", "-J"]));
      return facts.members && facts.online && facts.leader ? facts : undefined;
    }, PATIENCE);
    assert.deepEqual([
      info.type,
      info.arguments["x-max-age"],
      info.arguments["x-stream-max-segment-size-bytes"],
    ], [
      "stream",
      "604800s",
      2 ** 20,
    ]);
    assert.deepEqual([info.members, info.online], [[info.leader], [info.leader]]);
  });

  test("peek - shows the messages of a stream from an offset, and leaves no trace", async () => {
    await well(["declare", "seen", "--stream"]);
    assert.equal(await well(["peek", "seen"]), "");
    await well(["put", "seen"], lines(3000));
    // RabbitMQ counts the messages of a stream with a delay, and peek must not depend on it.
    assert.equal(await well(["peek", "seen", "--offset", "first"]), lines(10));
    assert.equal(await well(["peek", "seen", "-n", "60000", "--offset", "first"]), lines(3000));
    assert.equal(await well(["peek", "seen", "--offset", "2998", "-n", "5"]), "line 2999\nline 3000\n");
    assert.equal(await well(["peek", "seen", "--offset", "9999"]), "");
    assert.match(await well(["peek", "seen", "--offset", "last", "-n", "3000"]), /line 3000\n$/);
    assert.equal(await well(["peek", "seen", "--offset", "2020-01-01T00:00:00Z", "-n", "1"]), "line 1\n");
    assert.equal((await queue(["peek", "seen", "--offset", "next", "-w", "200ms"])).code, 3);
    await waitFor(async () => await ready("seen") === "3000", PATIENCE, "the count");
    assert.equal(await well(["peek", "seen", "-n", "2"]), "line 1\nline 2\n");
  });

  test("--offset - starts at a message, the first or the last one, or a time; nothing is removed", async () => {
    await well(["declare", "log", "--type", "stream"]);
    await well(["put", "--declare", "log"], lines(20));
    assert.equal(await well(["get", "log", "--offset", "first", "-n", "20"]), lines(20));
    assert.equal(await well(["get", "log", "--offset", "17", "-n", "2"]), "line 18\nline 19\n");
    assert.equal(await well(["get", "log", "--offset", "2020-01-01T00:00:00Z", "-n", "1"]), "line 1\n");
    assert.match(
      await well(["get", "log", "--offset", "0", "-n", "1", "-J"]),
      /"x-stream-offset":\{"\$l":"0"\}/,
    );
    using next = await startQueue(["get", "log", "-n", "1"]);
    // It starts with messages that are published after its start.
    await waitFor(
      async () => {
        if (next.code === undefined) await well(["put", "--declare", "log", "-D", "later"]);
        return next.code !== undefined;
      },
      PATIENCE,
      "the message",
    );
    assert.equal((await next.exit()).stdout.toString(), "later\n");
    const last = await queue(["get", "log", "--offset", "last", "-w", "300ms"]);
    assert.deepEqual([last.code, /^later\n/m.test(last.stdout.toString())], [3, true]);
  });

  test("--offset - continues at the same offset after a lost connection", async () => {
    await well(["declare", "long log", "--type", "stream"]);
    await well(["put", "--declare", "long log"], lines(20_000));
    await using proxy = await Proxy.to((await broker()).port);
    proxy.cutAfter(500_000);
    const args = ["get", "long log", "--offset", "first", "-n", "20000", "--url", proxy.url];
    const { code, stdout, stderr } = await queue(args);
    assert.deepEqual([code, stdout.toString() === lines(20_000)], [0, true], stderr);
    assert.match(stderr, /lost amqp:.*connecting again/);
  });

  test("options without a meaning for a stream are refused, and so is an offset for a queue", async () => {
    await well(["declare", "book", "--type", "stream"]);
    await well(["put", "--declare", "book"], lines(3));
    await well(["put", "--declare", "no book"], lines(1));
    const exec = ["--exec", "cat", "--on-error", "requeue"];
    const cases: [args: string[], words: RegExp][] = [
      [["purge", "book"], /cannot purge 'book' as it is a stream: only its limits remove messages/],
      [["move", "book", "no book"], /'book' is a stream, .* mqcat queue get book --offset first -w 1s -J \|/],
      [["get", "book", "--offset", "first", ...exec], /'book' is a stream, which keeps its messages/],
      [["get", "no book", "--offset", "first"], /--offset is for streams, and 'no book' is not a stream/],
      [["peek", "no book", "--offset", "first"], /--offset is for streams, and 'no book' is not a stream/],
    ];
    for (const [args, words] of cases) {
      const { code, stdout, stderr } = await queue(args);
      assert.deepEqual([code, words.test(stderr), stderr.split("\n").length], [1, true, 2], stderr);
      assert.equal(stdout.length, 0);
    }
    assert.equal(await well(["get", "no book", "--drain"]), lines(1));
    // RabbitMQ updates the message count of a stream with a delay; the messages of the first test are there already.
    await waitFor(async () => Number(await ready("log")) > 0, PATIENCE, "the count");
    assert.match(
      (await queue(["get", "log", "--drain"])).stderr,
      /'log' is a stream, which is never empty: use -n or -w/,
    );
    assert.equal((await queue(["get", "book", "--offset", "soon"])).code, 2);
    assert.equal((await queue(["get", "book", "--offset", "first", "--drain"])).code, 2);
  });
}
