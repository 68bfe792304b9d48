/** Dumping queues to files, and restoring them. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { gunzipSync } from "node:zlib";
import { tempDir } from "../../support/helpers.ts";
import { run } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

const RECORD = {
  body: "x",
  headers: {
    l: { $l: "9007199254740993" },
    d: { $d: "1" },
    b: { $bytes: "AQL/" },
    t: { $time: "5" },
    n: { $decimal: [2, 314] },
    list: [1, "x", null, true, { $u: "7" }],
    o: { $table: { $l: "text" } },
  },
  properties: {
    content_type: "text/plain",
    delivery_mode: 2,
    priority: 7,
    correlation_id: "c",
    reply_to: "r",
    expiration: "900000",
    message_id: "m",
    timestamp: "18000000000000000000",
    type: "t",
    app_id: "a",
  },
};

export function dumping({ peeks, queue, test, well, ready }: QueueContext): void {
  const force = peeks ? [] : ["--force"];

  test("dump, restore - keep messages, properties, order and definitions; the next dump is the same", async () => {
    using dir = tempDir();
    for (const type of ["classic", "quorum"]) {
      const name = `dumped ${type}`;
      await well(["declare", name, "--type", type, "-a", "x-max-length=5000"]);
      await well(["bind", name, "amq.topic", "-t", "order.#", "-q"]);
      await well(["put", name], lines(1000));
      await well(["put", name, "-J"], `${JSON.stringify({ ...RECORD, queue: name })}\n`);
      await well(["put", name, "-J"], '{"body_base64":"/w==","queue":"x"}\n');
      await well(["put", "--exchange", "amq.topic", "-t", "order.new", "-D", "routed"]);
      const path = dir.file(`${type}.jsonl.gz`);
      await well(["dump", path, name, "-q", ...force]);
      assert.equal(fs.statSync(path).mode & 0o777, 0o600);
      const text = gunzipSync(fs.readFileSync(path)).toString();
      const [header, ...records] = text.trimEnd().split("\n").map((line) => JSON.parse(line));
      assert.equal(header.definitions.queues[0].arguments["x-max-length"], 5000);
      assert.deepEqual(header.definitions.bindings.filter((one: { source: string }) => one.source !== ""), [{
        source: "amq.topic",
        destination: name,
        destination_type: "queue",
        routing_key: "order.#",
        arguments: {},
      }]);
      assert.deepEqual(records[0], { body: "line 1", queue: name, properties: { delivery_mode: 2 } });
      assert.deepEqual([records[1000].headers, records[1000].properties], [
        RECORD.headers,
        RECORD.properties,
      ]);
      assert.equal(records[1001].body_base64, "/w==");
      assert.deepEqual([records[1002].topic, records[1002].exchange], ["order.new", "amq.topic"]);
      assert.deepEqual(records[1003], { dump: "end", messages: 1003 });
      assert.equal(await ready(name), "1003");

      await well(["delete", name, "-q"]);
      const restored = await queue(["restore", path]);
      assert.equal(restored.code, 0, restored.stderr);
      assert.match(restored.stderr, /restored 1003 messages into 1 queue\n/);
      const again = (await queue(["dump", "-", name, "-q", ...force])).stdout.toString();
      if (peeks) assert.equal(again, text);
      else {
        const normal = (dump: string) =>
          dump.replace(/,"topic":"order.new","exchange":"amq.topic"/, "").replace(/,"redelivered":true/g, "")
            .split("\n").slice(1).join("\n");
        assert.equal(normal(again), normal(text));
        assert.match(restored.stderr, /does not keep exchanges and routing keys/);
      }
      assert.equal(await well(["get", name, "-n", "1000"]), lines(1000));
      assert.equal(await ready(name), "3");
      await well(["delete", name, "-q"]);
    }
  });

  test("dump - patterns select queues; restore takes some of them", async () => {
    using dir = tempDir();
    for (const name of ["fail one", "fail two", "other fail"]) {
      await well(["put", name, "--declare", "-D", name]);
    }
    const path = dir.file("fail.jsonl");
    await well(["dump", path, "fail*", "-q", ...force]);
    const bodies = fs.readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line).body);
    assert.deepEqual(bodies, [undefined, "fail one", "fail two", undefined]);
    const selected = await queue(["dump", "-", "--where", 'body =~ "one|other"', "fail*", "-q", ...force]);
    assert.match(
      selected.stdout.toString(),
      /^{"dump".*\n{"body":"fail one".*\n{"dump":"end","messages":1}\n$/,
    );
    await well(["delete", "fail one", "fail two", "other fail", "-q"]);
    assert.equal((await queue(["restore", path, "*two"])).code, 0);
    assert.equal(await ready("fail one"), undefined);
    assert.equal(await well(["get", "fail two", "--drain"]), "fail two\n");
    await well(["delete", "fail two", "-q"]);
  });

  test("dump, restore - refuse what would be lost or is not a dump", async () => {
    using dir = tempDir();
    await well(["put", "safe", "--declare", "-D", "x"]);
    const path = dir.file("safe.jsonl");
    fs.writeFileSync(path, "mine");
    const exists = await queue(["dump", path, "safe"]);
    assert.equal(exists.code, 2);
    assert.match(
      exists.stderr,
      peeks ? /exists: --force replaces it/ : /marked as redelivered .*--force does it/,
    );
    assert.equal(fs.readFileSync(path, "utf8"), "mine");
    assert.equal((await queue(["dump", path, "safe", "--force"])).code, 0);
    const dump = fs.readFileSync(path, "utf8");
    assert.match(dump, /"body":"x"/);
    assert.deepEqual(fs.readdirSync(dir.path), ["safe.jsonl"]);

    if (peeks) {
      for (const name of ["new.part", "new.part.state"]) fs.writeFileSync(dir.file(name), "x\n1 1 1 1\n");
      const damaged = await queue(["dump", dir.file("new"), "safe"]);
      assert.match(damaged.stderr, /new\.part' is of another dump: remove it, or replace it with --force/);
      assert.equal((await queue(["dump", dir.file("new"), "safe", "--force"])).code, 0);
    }
    const missing = await queue(["dump", dir.file("no"), "sale*", "--force"]);
    assert.deepEqual([missing.code, missing.stderr], [1, "mqcat: queue dump: there is no queue 'sale*'\n"]);
    assert.match((await queue(["restore", dir.file("no")])).stderr, /cannot be read/);
    assert.match(
      (await queue(["restore", dir.path])).stderr,
      /cannot be read: it is a directory, not a file\n$/,
    );
    for (const [args, stdin] of [[[dir.file("no")], ""], [["-"], ""], [["-", "sale"], dump]] as const) {
      const { code } = await run(["queue", "restore", "--data", dir.file("data"), ...args], { stdin });
      assert.deepEqual(
        [code, fs.existsSync(dir.file("data"))],
        [args[0] === "-" ? 1 : 2, false],
        args.join(" "),
      );
    }
    const other = await queue(["restore", path, "sale"]);
    assert.deepEqual(
      [other.code, other.stderr],
      [1, "mqcat: queue restore: there is no queue 'sale' in the dump (did you mean 'safe'?)\n"],
    );
    const broken: readonly (readonly [text: string, error: RegExp])[] = [
      ["", /is not a dump/],
      ["{}\n", /line 1: it is not a dump/],
      ["x\n", /line 1: it is not valid JSON\n$/],
      ['{"dump":9}\n', /line 1: it has the version 9/],
      [dump.split("\n").slice(0, 2).join("\n"), /the dump is incomplete: it ends after 1 message/],
      [dump.replace('messages":1', 'messages":2'), /has 1 message, but 2 at its end/],
      [dump.replace('"body":"x"', '"body":1'), /line 2: it needs one of the members/],
    ];
    for (const [text, error] of broken) {
      const { code, stderr } = await queue(["restore", "-", "-q"], { stdin: text });
      assert.equal(code, 1, text);
      assert.match(stderr, error);
    }
    const different = await queue(["restore", "-"], {
      stdin: dump.replace(
        /"arguments":\{("?)/,
        (_, more) => `"arguments":{"x-max-length":4${more === "" ? "" : `,${more}`}`,
      ),
    });
    assert.match(
      different.stderr,
      /cannot declare queue 'safe' as it exists and its x-max-length is not set/,
    );
    await well(["delete", "safe", "-q"]);
  });
}
