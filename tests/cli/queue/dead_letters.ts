/** Dead letters: to the dead-letter queue, and back to their original queues. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { Proxy } from "../../support/rabbitmq.ts";
import { PATIENCE } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

export function deadLetters({ broker, peeks, queue, ready, test, well }: QueueContext): void {
  const to = (dead: string) => ["-a", "x-dead-letter-exchange=", "-a", `x-dead-letter-routing-key=${dead}`];
  const fail = (name: string) =>
    queue([
      "get",
      name,
      "--drain",
      "--exec",
      "exit 1",
      "--on-error",
      "dead-letter",
      "--max-attempts",
      "1",
      "-j",
      "8",
    ]);

  test("--on-error dead-letter - moves failed messages; without a dead-letter queue no message is taken", async () => {
    await well(["declare", "mourned"]);
    await well(["declare", "mortal", ...to("mourned")]);
    await well(["put", "--declare", "mortal"], "1\n2\n");
    const failed = await fail("mortal");
    assert.deepEqual([failed.code, await well(["get", "mourned", "--drain"])], [6, "1\n2\n"]);

    await well(["declare", "no place"]);
    await well(["declare", "no exchange", "-a", "x-max-length=9", "-a", "x-dead-letter-exchange=missing"]);
    await well(["declare", "no queue", ...to("gone")]);
    const cases: [name: string, words: RegExp][] = [
      [
        "no place",
        /'no place' has no dead-letter exchange, .* declare it with -a x-dead-letter-exchange=NAME/,
      ],
      [
        "no exchange",
        /'no exchange' dead-letters to the exchange 'missing', which does not exist: create it first/,
      ],
      ["no queue", /'no queue' dead-letters to the queue 'gone', which does not exist: declare it first/],
    ];
    for (const [name, words] of cases) {
      await well(["put", "--declare", name, "-D", "kept"]);
      const { code, stderr } = await fail(name);
      assert.deepEqual([code, words.test(stderr), stderr.split("\n").length], [1, true, 2], stderr);
      assert.equal(await well(["get", name, "--drain"]), "kept\n");
    }
  });

  for (const type of ["classic", "quorum"]) {
    test(`redrive - returns messages of ${type} queues unchanged to their original queues`, async () => {
      const [dead, one, two] = [`dead ${type}`, `one ${type}`, `two ${type}`];
      for (const name of [one, two]) await well(["declare", name, "--type", type, ...to(dead)]);
      await well(["declare", dead, "--type", type]);
      await well([
        "put",
        "--declare",
        one,
        "-D",
        "first",
        "-H",
        "k: v",
        "-P",
        "content_type: x/y",
        "-P",
        "message_id: m",
      ]);
      await well(["put", "--declare", two], lines(300));
      for (const name of [one, two]) assert.equal((await fail(name)).code, 6);
      const some = await queue(["redrive", dead, "-n", "1"]);
      assert.deepEqual([some.code, some.stderr], [
        0,
        `mqcat: queue redrive: moved 1 from '${dead}': 1 to '${one}'\n`,
      ]);
      const rest = await queue(["redrive", dead]);
      assert.deepEqual(
        [rest.code, rest.stderr],
        [0, `mqcat: queue redrive: moved 300 from '${dead}': 300 to '${two}'\n`],
      );
      const record = JSON.parse(await well(["get", one, "--drain", "-J"]));
      assert.deepEqual(
        [record.body, record.headers, record.properties.content_type, record.properties.message_id],
        ["first", { k: "v" }, "x/y", "m"],
      );
      const numbers = (await well(["get", two, "--drain"])).trimEnd().split("\n");
      assert.deepEqual(new Set(numbers), new Set(lines(300).trimEnd().split("\n")));
      assert.deepEqual([numbers.length, await well(["get", dead, "--drain"])], [300, ""]);
    });
  }

  test("redrive - keeps messages without an original queue or that cannot return; --to moves all", async () => {
    await well(["declare", "lost and found"]);
    for (const name of ["there", "gone"]) {
      await well(["declare", name, ...to("lost and found")]);
      await well(["put", "--declare", name, "-D", `from ${name}`]);
    }
    for (const name of ["gone", "there"]) await fail(name);
    await queue(["delete", "gone"]);
    await well(["put", "--declare", "lost and found", "-D", "no letter"]);
    const { code, stderr } = await queue(["redrive", "lost and found"]);
    assert.equal(code, 5);
    assert.match(stderr, /moved 1 from 'lost and found': 1 to 'there'\n/);
    assert.match(
      stderr,
      /2 messages stay in 'lost and found': 1 .*, 1 .* \(--to QUEUE moves them there\)\n$/,
    );
    assert.match(stderr, /1 from 'gone', which does not exist/);
    assert.match(stderr, /1 without an original queue in their headers/);
    assert.equal(await well(["get", "there", "--drain"]), "from there\n");
    // They fill the window of unconfirmed messages, so the messages after them cannot be reached. Our broker has no window.
    await well(["put", "--declare", "lost and found", "-D", "after"]);
    const stuck = await queue(["redrive", "lost and found", "--prefetch", "2"]);
    assert.deepEqual([
      stuck.code,
      (peeks ? /3 messages stay / : /2 messages stay .*the messages after them were not read/).test(
        stuck.stderr,
      ),
    ], [
      5,
      true,
    ]);
    const all = await queue(["redrive", "lost and found", "--to", "elsewhere", "--declare"]);
    assert.deepEqual(
      [all.code, all.stderr],
      [0, "mqcat: queue redrive: moved 3 from 'lost and found' to 'elsewhere'\n"],
    );
    assert.equal(await well(["get", "elsewhere", "--drain"]), "from gone\nno letter\nafter\n");
    const empty = await queue(["redrive", "lost and found"]);
    assert.deepEqual([empty.code, empty.stderr], [0, "mqcat: queue redrive: 'lost and found' is empty\n"]);
    const none = await queue(["redrive", "never declared"]);
    assert.deepEqual([none.code, /there is no queue 'never declared'/.test(none.stderr)], [1, true]);
    assert.equal((await queue(["redrive", "x", "--to", "x"])).code, 2);
  });

  test("redrive - does not loop over messages that are dead-lettered again at once", async () => {
    await well(["declare", "limbo"]);
    await well(["declare", "doomed", "-a", "x-message-ttl=0", ...to("limbo")]);
    await well(["put", "--declare", "doomed"], lines(20));
    await waitFor(async () => await ready("limbo") === "20", PATIENCE, "the dead letters");
    const { code, stderr } = await queue(["redrive", "limbo"]);
    assert.deepEqual([code, /moved 20 from/.test(stderr)], [0, true], stderr);
    await waitFor(async () => await ready("limbo") === "20", PATIENCE, "the dead letters");
  });

  test("redrive - loses nothing when the queue is full or the connection is cut", async () => {
    const size = 3000;
    await well(["declare", "tomb"]);
    await well(["declare", "lively", "-a", "x-message-ttl=0", ...to("tomb")]);
    await well(["put", "--declare", "lively"], lines(size));
    await waitFor(async () => await ready("tomb") === `${size}`, PATIENCE, "the dead letters");
    await queue(["delete", "lively"]);
    await well(["declare", "lively", "-a", "x-max-length=10", "-a", "x-overflow=reject-publish"]);
    const full = await queue(["redrive", "tomb"]);
    const refusal = peeks ? /2990 from 'lively', which is full/ : /the broker refused/;
    assert.deepEqual([full.code, refusal.test(full.stderr)], [5, true], full.stderr);
    const revived = new Set((await well(["get", "lively", "--drain"])).trimEnd().split("\n"));
    await queue(["delete", "lively"]);
    await well(["declare", "lively"]);

    await using proxy = await Proxy.to((await broker()).port);
    proxy.cutAfter(200_000);
    const { code, stderr } = await queue(["redrive", "tomb", "--url", proxy.url, "--prefetch", "50"]);
    // Our broker returns them in place: no message passes the connection.
    assert.deepEqual([code, /lost amqp:.*connecting again/.test(stderr)], [0, !peeks], stderr);
    for (const line of (await well(["get", "lively", "--drain"])).trimEnd().split("\n")) revived.add(line);
    assert.deepEqual([revived.size, await well(["get", "tomb", "--drain"])], [size, ""]);
  });

  test("move - ignores CC and BCC, which were for the exchange", async () => {
    for (const name of ["copied", "copy", "target"]) await well(["declare", name]);
    await well(["put", "--declare", "copied", "-J"], '{"body":"x","headers":{"CC":["copy"],"k":"v"}}\n');
    assert.equal(await well(["get", "copy", "--drain"]), "x\n");
    assert.equal((await queue(["move", "copied", "target", "--declare"])).code, 0);
    assert.equal(await well(["get", "target", "--drain", "-f", "%s %h\\n"]), "x k=v\n");
    assert.equal(await well(["get", "copy", "--drain"]), "");
  });
}
