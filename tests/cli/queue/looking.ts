/** Inspecting queues (peek, list, info), and moving their messages. */
import assert from "node:assert/strict";
import { lines, type QueueContext } from "./context.ts";

export function looking({ peeks, queue, test, well }: QueueContext): void {
  test("peek - prints messages, warns of side effects, and keeps the order, on quorum queues too", async () => {
    await well(["declare", "classic peek"]);
    await well(["declare", "quorum peek", "--type", "quorum"]);
    for (const name of ["classic peek", "quorum peek"]) {
      await well(["put", "--declare", name], lines(100));
      for (const count of [2, 50, 200]) {
        const { code, stdout, stderr } = await queue(["peek", name, "-n", `${count}`]);
        assert.deepEqual([code, stdout.toString()], [0, lines(Math.min(count, 100))]);
        if (peeks) assert.equal(stderr, "");
        else assert.match(stderr, /marked as redelivered/);
      }
      if (peeks) assert.doesNotMatch(await well(["peek", name, "-n", "200", "-J"]), /redelivered/);
      assert.equal(await well(["get", name, "--drain"]), lines(100));
    }
    const missing = await queue(["peek", "nothing"]);
    assert.deepEqual([missing.code, missing.stderr], [1, "mqcat: queue peek: there is no queue 'nothing'\n"]);
  });

  test("list, info - use the HTTP API; without it an error names the remedy", async () => {
    await well(["declare", "listed", "--type", "quorum"]);
    assert.match(
      await well(["list"]),
      /^name +type +ready +unacked +consumers\n[^]*^listed +quorum +\d+ +\d+ +\d+$/m,
    );
    const records = (await well(["list", "-J"])).trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.ok(records.some(({ name }) => name === "listed"));
    await well(["put", "--declare", "listed", "-D", "x"]);
    assert.match(
      await well(["info", "listed"]),
      /^name: listed\nmessages_ready: 1\nconsumers: 0\n[^]*type: quorum\n/,
    );
    const none = await queue(["list", "--http", "http://127.0.0.1:1"]);
    assert.equal(none.code, 4);
    assert.match(
      none.stderr,
      /does not answer at http:\/\/127.0.0.1:1 .*rabbitmq-plugins enable.*\(--http ADDRESS/,
    );
  });

  test("declare --quorum - sets the limits of the type; info shows its leader, its members and its delivery limit", async () => {
    await well(["declare", "safe", "--quorum", "--delivery-limit", "3", "--max-length-bytes", "1M"]);
    const info = JSON.parse(await well(["info", "safe", "-J"]));
    assert.deepEqual([info.type, info.delivery_limit, info.arguments["x-max-length-bytes"]], [
      "quorum",
      3,
      2 ** 20,
    ]);
    assert.deepEqual([info.members, info.online], [[info.leader], [info.leader]]);
    const wrong: [args: string[], words: RegExp][] = [
      [["--delivery-limit", "3"], /--delivery-limit needs --quorum/],
      [["--quorum", "--max-age", "1d"], /--max-age needs --stream/],
      [["--members", "3"], /--members needs --quorum or --stream/],
      [["--quorum", "--stream"], /a queue has one type: received quorum and stream/],
      [["--quorum", "--type", "classic"], /a queue has one type: received classic and quorum/],
      [["--max-length-bytes", "1k", "-a", "x-max-length-bytes=1"], /give only one/],
    ];
    for (const [args, words] of wrong) {
      const { code, stderr } = await queue(["declare", "wrong", ...args]);
      assert.deepEqual([code, words.test(stderr)], [2, true], stderr);
    }
  });

  test("move - moves messages with their properties; refuses the same queue; a full target loses nothing", async () => {
    await well(["put", "--declare", "from"], lines(3000));
    await well(["put", "--declare", "from", "-D", "last", "-H", "k: v", "-P", "priority: 7"]);
    const { code, stderr } = await queue(["move", "from", "to", "--declare"]);
    assert.deepEqual([code, stderr], [0, "mqcat: queue move: moved 3001 from 'from' to 'to'\n"]);
    assert.equal(await well(["get", "from", "--drain"]), "");
    assert.equal(await well(["get", "to", "-n", "3000"]), lines(3000));
    assert.match(
      await well(["get", "to", "-n", "1", "-J"]),
      /"headers":{"k":"v"},"properties":{.*"priority":7/,
    );
    assert.equal((await queue(["move", "from", "from"])).code, 2);
    await well(["declare", "quorum from", "quorum to", "--type", "quorum"]);
    await well(["put", "--declare", "quorum from"], lines(300));
    assert.equal((await queue(["move", "quorum from", "quorum to"])).code, 0);
    assert.deepEqual(
      [await well(["get", "quorum from", "--drain"]), await well(["get", "quorum to", "--drain"])],
      ["", lines(300)],
    );

    await well(["declare", "tight", "-a", "x-max-length=5", "-a", "x-overflow=reject-publish"]);
    await well(["put", "--declare", "from"], lines(100));
    const full = await queue(["move", "from", "tight"]);
    assert.deepEqual([full.code, /the broker refused/.test(full.stderr)], [5, true], full.stderr);
    const everything = await well(["get", "from", "--drain"]) + await well(["get", "tight", "--drain"]);
    assert.equal(new Set(everything.trimEnd().split("\n")).size, 100);

    await well(["put", "--declare", "from"], lines(3));
    const two = await queue(["move", "from", "to", "-n", "2"]);
    assert.match(two.stderr, /moved 2 from/);
    assert.doesNotMatch(await well(["get", "from", "--drain", "-J"]), /redelivered/);
  });
}
