/** Nothing is created by accident: a missing queue is an error, and so is an empty name. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tempDir } from "../../support/helpers.ts";
import { run } from "../../support/mqcat.ts";
import { type QueueContext } from "./context.ts";

export function existing({ env, peeks, queue, ready, test, well }: QueueContext): void {
  test("a missing queue - is an error that names it, and is not created; --declare creates it", async () => {
    await well(["declare", "typo"]);
    await well(["put", "typo", "-D", "x"]);
    const cases: [args: string[], missing: string, declares: boolean][] = [
      [["put", "typoo", "-D", "x"], "typoo", true],
      [["get", "typoo", "-w", "20s"], "typoo", true],
      [["get", "typoo", "--exec", "true", "--on-error", "dead-letter", "-w", "20s"], "typoo", true],
      [["get", "typoo", "--offset", "first", "-w", "20s"], "typoo", true],
      [["move", "typo", "typoo"], "typoo", true],
      [["redrive", "typo", "--to", "typoo"], "typoo", true],
      [["move", "typoo", "typo"], "typoo", false],
      [["redrive", "typoo"], "typoo", false],
      [["peek", "typoo"], "typoo", false],
      [["info", "typoo"], "typoo", false],
      [["purge", "typoo"], "typoo", false],
      [["delete", "typoo"], "typoo", false],
    ];
    await Promise.all(cases.map(async ([args, missing, declares]) => {
      const { code, stdout, stderr } = await queue(args);
      assert.deepEqual([code, stdout.length], [1, 0], `${args.join(" ")}: ${stderr}`);
      assert.ok(stderr.includes(`there is no queue '${missing}'`), stderr);
      assert.equal(/--declare creates it/.test(stderr), declares, stderr);
      if (peeks) assert.match(stderr, /\(did you mean 'typo'\?\)/);
    }));
    assert.deepEqual(
      [await ready("typoo"), await ready("typo")],
      [undefined, "1"],
      "nothing was created or moved",
    );
    await well(["put", "--declare", "typoo", "-D", "y"]);
    await well(["move", "typo", "moved", "--declare", "-q"]);
    assert.equal(await well(["get", "moved", "--drain"]), "x\n");
    assert.equal((await queue(["get", "got", "--declare", "--drain"])).code, 0);
    assert.equal(await ready("got"), "0");
    const exchange = await queue(["put", "--exchange", "amq.topic", "--declare", "-D", "x"]);
    assert.deepEqual([exchange.code, /--declare creates a queue/.test(exchange.stderr)], [2, true]);
  });

  /** The names of all queues: RabbitMQ updates the counts beside them with a delay. */
  async function names(): Promise<string[]> {
    const records = (await well(["list", "-J"])).trimEnd().split("\n");
    return records.map((record) => JSON.parse(record).name);
  }

  test("an empty name - is refused by every command, and creates nothing", async () => {
    await well(["declare", "named"]);
    const before = await names();
    const cases: string[][] = [
      ...["put", "get", "peek", "info", "declare", "purge", "delete", "redrive"].map((verb) => [verb, ""]),
      ...["check", "list", "top", "delete-messages", "dump", "restore"].map((verb) => [verb, ""]),
      ["top", "--once", ""],
      ["dump", "-", ""],
      ["restore", "-", ""],
      ["trace", "--queue", ""],
      ["put", "", "--declare", "-D", "x"],
      ["get", "", "--declare"],
      ["declare", "other", ""],
      ["move", "named", ""],
      ["move", "named", "", "--declare"],
      ["move", "", "named"],
      ["redrive", "named", "--to", ""],
      ["bind", "", "amq.topic"],
      ["bind", "named", ""],
      ["unbind", "named", ""],
      ["bind", "named", "amq.topic", "-t", ""],
      ["unbind", "named", "amq.topic", "-t", ""],
      ["put", "--exchange", ""],
      ["put", "--exchange", "amq.topic", "-t", ""],
    ];
    await Promise.all(cases.map(async (args) => {
      const { code, stderr } = await queue(args, { stdin: "x\n" });
      assert.deepEqual([code, /must not be empty/.test(stderr)], [2, true], `${args.join(" ")}: ${stderr}`);
    }));
    assert.deepEqual(await names(), before);
    const { AMQP_URL = "" } = await env();
    for (const place of [[], ["--to-url", AMQP_URL], ["--to-url", `${AMQP_URL}/%2F`]]) {
      const { code, stderr } = await queue(["move", "named", "named", "--follow", ...place]);
      assert.deepEqual([code, /cannot be moved to itself/.test(stderr)], [2, true], stderr);
    }
  });

  test("--data - put creates a queue in a directory, and no other command does", async () => {
    using dir = tempDir();
    const data = ["--data", dir.file("spool")];
    const none = await queue(["get", "jobs", ...data, "-w", "1s"]);
    assert.deepEqual([none.code, fs.existsSync(dir.file("spool"))], [2, false], none.stderr);
    const put = await run(["queue", "put", "jobs", ...data, "-D", "x"], { env: await env() });
    assert.deepEqual([put.code, put.stderr], [0, ""]);
    for (const args of [["get", "jobbs", "-w", "1s"], ["move", "jobs", "jobbs"]]) {
      const { code, stderr } = await queue([...args, ...data]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /there is no queue 'jobbs' \(did you mean 'jobs'\?\); --declare creates it/);
    }
  });
}
