/** Refusals by the broker: one line that names the cause, and the exit code. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tempDir } from "../../support/helpers.ts";
import { summaryOf } from "../../support/mqcat.ts";
import { type QueueContext } from "./context.ts";

export function refusals({ broker, queue, test, well }: QueueContext): void {
  test("a full queue that rejects - the error has the count and the remedy, and the exit code is 5", async () => {
    await well(["declare", "full", "-a", "x-max-length=1", "-a", "x-overflow=reject-publish"]);
    const { code, stderr } = await queue([
      "put",
      "full",
      "--rate",
      "100/s",
      "-n",
      "10",
      "-D",
      "x",
      "--summary",
    ]);
    assert.equal(code, 5);
    assert.match(
      stderr,
      /^mqcat: queue put: the broker refused \d+ messages: the queue is full .*larger.*\n\{.*\n$/,
    );
    const { confirmed, unsent } = summaryOf(stderr) as { confirmed: number; unsent: number };
    assert.ok(confirmed >= 1 && confirmed + unsent === 10, stderr);
  });

  test("refused - wrong password, missing virtual host, no broker: exit code 4, no password printed", async () => {
    const { port } = await broker();
    const cases: [url: string, words: RegExp, code: number][] = [
      [`amqp://guest:s3cret@127.0.0.1:${port}`, /login refused for user 'guest': wrong user or password/, 4],
      [`amqp://127.0.0.1:${port}/none`, /virtual host 'none' does not exist/, 4],
      [
        "amqp://u:s3cret@127.0.0.1:1",
        /nothing is listening there \(mqcat queue serve amqp:\/\/127\.0\.0\.1:1 starts a broker there\)$/m,
        4,
      ],
      ["amqp://u:s3cret@host:x", /is not a host and a port/, 2],
    ];
    for (const [url, words, code] of cases) {
      for (
        const args of [["put", "--declare", "x", "-D", "x"], ["get", "x"], ["peek", "x"], ["move", "x", "y"]]
      ) {
        const exit = await queue([...args, "--url", url]);
        assert.deepEqual([exit.code, words.test(exit.stderr)], [code, true], exit.stderr);
        assert.doesNotMatch(exit.stderr, /s3cret/);
        assert.equal(exit.stderr.trimEnd().split("\n").length, 1, exit.stderr);
      }
    }
  });

  test("headers larger than a frame - one line, exit code 1; the lines of JSON before them are put", async () => {
    const header = `a: ${"x".repeat(100_000)}`;
    const { code, stderr } = await queue([
      "put",
      "--declare",
      "wide",
      "-D",
      "x",
      "-H",
      header,
      "-H",
      header.replace("a", "b"),
    ]);
    assert.equal(code, 1, stderr.slice(0, 2000));
    assert.match(
      stderr,
      /mqcat: queue put: 1 message was not sent: cannot publish a message with 2000\d\d bytes of headers and properties/,
    );
    assert.ok(stderr.length < 1000, "no source, no stack");
    const records = [{ body: "1" }, { body: "2", headers: { x: "x".repeat(200_000) } }, { body: "3" }];
    const json = await queue(["put", "--declare", "wide", "-J"], {
      stdin: records.map((record) => `${JSON.stringify(record)}\n`).join(""),
    });
    assert.deepEqual(
      [json.code, /bytes of headers and properties/.test(json.stderr)],
      [1, true],
      json.stderr,
    );
    assert.equal(await well(["get", "wide", "--drain"]), "1\n");
  });

  test("a password - is read from a file or from the environment", async () => {
    const { port } = await broker();
    using dir = tempDir();
    fs.writeFileSync(dir.file("password"), "guest\n");
    const url = `amqp://guest@127.0.0.1:${port}`;
    await well([
      "put",
      "--declare",
      "secrets",
      "-D",
      "x",
      "--url",
      url,
      "--password-file",
      dir.file("password"),
    ]);
    const inherited = await queue(["get", "secrets", "--drain", "--url", url], {
      env: { AMQP_PASSWORD: "guest" },
    });
    assert.deepEqual([inherited.code, inherited.stdout.toString()], [0, "x\n"]);
    assert.equal((await queue(["get", "secrets", "--drain", "--url", url])).code, 4);
  });

  test("declare - accepts equal settings, reports a difference; delete and purge", async () => {
    await well(["declare", "d1", "d2"]);
    await well(["declare", "d1", "d2"]);
    const other = await queue(["declare", "d1", "-a", "x-max-length=5"]);
    assert.equal(other.code, 1);
    assert.match(
      other.stderr,
      /^mqcat: queue declare: cannot declare queue 'd1' as it exists and its x-max-length is not set: received 5 .*\n$/,
    );
    await well(["put", "d1"], "a\nb\n");
    const purged = await queue(["purge", "d1"]);
    assert.deepEqual([purged.code, purged.stderr], [0, "mqcat: queue purge: purged 2 messages from 'd1'\n"]);
    await well(["put", "d1", "-D", "x"]);
    assert.equal((await queue(["delete", "d1", "--if-empty"])).code, 1);
    assert.match(
      (await queue(["delete", "d1", "d2"])).stderr,
      /deleted 'd1' with 1 message\n.*deleted 'd2' with 0/,
    );
    assert.match((await queue(["delete", "d1"])).stderr, /there is no queue 'd1'/);
  });
}
