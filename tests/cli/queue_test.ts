/** The queue commands against RabbitMQ, and the examples of their help. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import process from "node:process";
import { after, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir, waitFor } from "../helpers.ts";
import { Proxy, rabbitMq, stopRabbitMq, test } from "../interop/rabbitmq.ts";
import {
  type Exit,
  PATIENCE,
  type Program,
  run,
  shell,
  start,
  type StartOptions,
  summaryOf,
} from "./mqcat.ts";

after(stopRabbitMq);

const CHEATS = fileURLToPath(new URL("../../cli/cheats/", import.meta.url));

async function env(): Promise<Record<string, string>> {
  const { url, http } = await rabbitMq();
  return { AMQP_URL: url, AMQP_HTTP_URL: http };
}

/** Runs `mqcat queue …` at the test's broker. */
async function queue(args: readonly string[], options: StartOptions = {}): Promise<Exit> {
  return await run(["queue", ...args], { ...options, env: { ...await env(), ...options.env } });
}

async function startQueue(args: readonly string[], options: StartOptions = {}): Promise<Program> {
  return start(["queue", ...args], { ...options, env: { ...await env(), ...options.env } });
}

/** Runs it; it must end well, and silently but for what it says with `-q` left out. */
async function well(args: readonly string[], stdin?: string | Uint8Array): Promise<string> {
  const { code, stdout, stderr } = await queue(args, stdin === undefined ? {} : { stdin });
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return stdout.toString();
}

/** How many messages are ready; undefined while there is no such queue. */
async function ready(name: string): Promise<string | undefined> {
  return /^messages_ready: (\d+)/m.exec((await queue(["info", name, "-q"])).stdout.toString())?.[1];
}

const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}\n`).join("");

describe("queue", () => {
  test("put, get --drain - the same lines, in order, with nothing on stderr", async () => {
    assert.equal(await well(["put", "lines"], lines(5000)), "");
    assert.equal(await well(["get", "lines", "--drain"]), lines(5000));
    assert.equal(await well(["get", "lines", "--drain"]), "");
  });

  test("framings - bytes come through NUL, blob and u32 unchanged", async () => {
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i * 7));
    await well(["put", "blob", "--in", "blob"], bytes);
    const { stdout } = await queue(["get", "blob", "--drain", "--out", "blob"]);
    assert.ok(stdout.equals(bytes));
    await well(["put", "nul", "-0"], "a\nb\0\0c");
    assert.equal(await well(["get", "nul", "--drain", "-0"]), "a\nb\0\0c\0");
    const u32 = Buffer.from([0, 0, 0, 2, 10, 0, 0, 0, 0, 0]);
    await well(["put", "u32", "--in", "u32"], u32);
    assert.ok((await queue(["get", "u32", "--drain", "--out", "u32"])).stdout.equals(u32));
  });

  test("-J - a message with all that belongs to it goes round and stays the same", async () => {
    const record = {
      body_base64: "AP8=",
      properties: { content_type: "x/y", delivery_mode: 1, priority: 4, correlation_id: "c", timestamp: 5 },
      headers: { text: "ü", number: 7, long: { $l: "5" }, list: [true, null], bytes: { $bytes: "AP8=" } },
    };
    await well(["put", "json", "-J"], `${JSON.stringify(record)}\n\n{"body":"plain","topic":"t"}\n`);
    const first = await well(["get", "json", "--drain", "-J"]);
    await well(["put", "json", "-J"], first);
    assert.equal(await well(["get", "json", "--drain", "-J"]), first);
    const [one, two] = first.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual([one.body_base64, one.properties, one.headers], [
      record.body_base64,
      record.properties,
      record.headers,
    ]);
    assert.deepEqual([one.topic, one.exchange, two.body, two.headers, two.properties], [
      "json",
      "",
      "plain",
      { "x-topic": "t" },
      { delivery_mode: 2 },
    ]);
  });

  test("-J - a mistake is told with its line, and what came before it is put", async () => {
    const { code, stderr } = await queue(["put", "wrong"], { stdin: "x" });
    assert.deepEqual([code, stderr], [0, ""]);
    const bad = await queue(["put", "wrong", "-J"], { stdin: '{"body":"y"}\n{"properties":{"no":1}}\n' });
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /line 2 of the input is no JSON record: it has none of the members body/);
    assert.equal(await well(["get", "wrong", "--drain"]), "x\ny\n");
  });

  test("-H, -P, -f - headers, properties and a template", async () => {
    await well(["put", "meta", "-D", "body", "-H", "a: 1", "-H", "b: x: y", "-P", "priority: 3"]);
    assert.equal(
      await well(["get", "meta", "--drain", "-f", "%t %S %s %h %o%%\\n"]),
      "meta 4 body a=1,b=x: y 1%\n",
    );
    const bad = await queue(["put", "meta", "-D", "x", "-P", "colour: red"]);
    assert.deepEqual(
      [bad.code, /expected 'name: value' with one of the names content_type/.test(bad.stderr)],
      [
        2,
        true,
      ],
    );
  });

  test("--exchange - the routing key decides; what nobody takes is counted, exit 5", async () => {
    await well(["declare", "bound"]);
    await well(["bind", "bound", "amq.topic", "-t", "a.*", "-t", "c"]);
    await well(["put", "--exchange", "amq.topic", "-t", "a.b", "-D", "one"]);
    await well(["put", "--exchange", "amq.topic", "-J"], '{"topic":"c","body":"two"}\n');
    await well(["unbind", "bound", "amq.topic", "-t", "c"]);
    const lost = await queue([
      "put",
      "--exchange",
      "amq.topic",
      "-t",
      "c",
      "-D",
      "x",
      "-D",
      "y",
      "--summary",
    ]);
    assert.equal(lost.code, 5);
    assert.match(
      lost.stderr,
      /^mqcat: queue put: 2 messages came back: no queue is bound to exchange 'amq.topic' for the routing key 'c'/,
    );
    assert.deepEqual([summaryOf(lost.stderr)["confirmed"], summaryOf(lost.stderr)["unsent"]], [0, 2]);
    assert.equal(await well(["get", "bound", "--drain"]), "one\ntwo\n");
    const none = await queue(["put", "--exchange", "none", "-D", "x"]);
    assert.deepEqual([none.code, /no exchange 'none' in vhost/.test(none.stderr)], [1, true], none.stderr);
  });

  test("a connection that is cut under load - put and get go on, and no line is lost", async () => {
    const { port } = await rabbitMq();
    await using proxy = await Proxy.to(port);
    const stdin = lines(40_000);
    using put = await startQueue(["put", "cut lines", "--url", proxy.url, "--summary"], { stdin });
    await waitFor(async () => Number(await ready("cut lines")) > 1000, PATIENCE, "the first lines");
    proxy.cut();
    const { code, stderr } = await put.exit();
    assert.deepEqual([code, summaryOf(stderr)["confirmed"]], [0, 40_000], stderr);
    assert.match(stderr, /^mqcat: queue put: lost amqp:.*connecting again$/m);
    assert.doesNotMatch(stderr, /guest/);
    using get = await startQueue(["get", "cut lines", "--drain", "--url", proxy.url]);
    await get.waitForStdout(/line 2000\n/);
    proxy.cut();
    const got = await get.exit();
    assert.equal(got.code, 0, got.stderr);
    assert.equal(new Set(got.stdout.toString().trimEnd().split("\n")).size, 40_000);
  });

  test("a signal - put waits for the confirms of what it read, and keeps to the code", async () => {
    using put = await startQueue(["put", "signalled"], { stdin: "a\nb\n", open: true });
    await waitFor(async () => await ready("signalled") === "2", PATIENCE, "both lines");
    put.kill("SIGTERM");
    assert.equal((await put.exit()).code, 143);
    assert.equal(await well(["get", "signalled", "--drain"]), "a\nb\n");
  });

  test("a full queue that rejects - exit 5, with the count and the remedy", async () => {
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
    assert.match(stderr, /the broker refused \d+ messages: the queue is full/);
    const { confirmed, unsent } = summaryOf(stderr) as { confirmed: number; unsent: number };
    assert.ok(confirmed >= 1 && confirmed + unsent === 10, stderr);
  });

  test("refused - wrong password, missing virtual host, nobody there: exit 4, and no password in sight", async () => {
    const { port } = await rabbitMq();
    const cases: [url: string, words: RegExp, code: number][] = [
      [`amqp://guest:s3cret@127.0.0.1:${port}`, /wrong user or password for 'guest'/, 4],
      [`amqp://127.0.0.1:${port}/none`, /there is no virtual host 'none'/, 4],
      ["amqp://u:s3cret@127.0.0.1:1", /nobody listens there/, 4],
      ["amqp://u:s3cret@host:x", /is not a host and a port/, 2],
    ];
    for (const [url, words, code] of cases) {
      const exit = await queue(["put", "x", "-D", "x", "--url", url]);
      assert.deepEqual([exit.code, words.test(exit.stderr)], [code, true], exit.stderr);
      assert.doesNotMatch(exit.stderr, /s3cret/);
      assert.equal(exit.stderr.trimEnd().split("\n").length, 1, exit.stderr);
    }
  });

  test("a password from a file, or from the environment", async () => {
    const { port } = await rabbitMq();
    using dir = tempDir();
    fs.writeFileSync(dir.file("password"), "guest\n");
    const url = `amqp://guest@127.0.0.1:${port}`;
    await well(["put", "secrets", "-D", "x", "--url", url, "--password-file", dir.file("password")]);
    const inherited = await queue(["get", "secrets", "--drain", "--url", url], {
      env: { AMQP_PASSWORD: "guest" },
    });
    assert.deepEqual([inherited.code, inherited.stdout.toString()], [0, "x\n"]);
    assert.equal((await queue(["get", "secrets", "--drain", "--url", url])).code, 4);
  });

  test("get -n - takes so many and leaves the others as they were", async () => {
    await well(["put", "some"], "a\nb\nc\n");
    assert.equal(await well(["get", "some", "-n", "1"]), "a\n");
    assert.equal(await well(["get", "some", "-n", "2", "-f", "%s"]), "bc");
    await well(["put", "some"], "a\nb\nc\n");
    assert.equal(await well(["get", "some", "-n", "2"]), "a\nb\n");
    assert.doesNotMatch(await well(["get", "some", "-n", "1", "-J"]), /redelivered/);
  });

  test("get - prints a message as soon as it comes; -w gives up; a signal ends it, and keeps nothing", async () => {
    using get = await startQueue(["get", "live"]);
    await waitFor(
      async () => /consumers: 1/.test((await queue(["info", "live"])).stdout.toString()),
      PATIENCE,
    );
    await well(["put", "live", "-D", "now"]);
    await get.waitForStdout(/^now\n$/);
    get.kill("SIGINT");
    assert.equal((await get.exit()).code, 130);
    const late = await queue(["get", "live", "-w", "200ms"]);
    assert.deepEqual([late.code, late.stdout.length], [3, 0], late.stderr);
    assert.match(late.stderr, /nothing came for 0.2 s \(-w\)/);
  });

  test("a reader that goes away - what it did not take stays in the queue", async () => {
    await well(["put", "head"], lines(50_000));
    using head = shell("mqcat queue get head --drain | head -n 1", { env: await env() });
    assert.equal((await head.exit()).stdout.toString(), "line 1\n");
    const left = await well(["get", "head", "--drain"]);
    assert.ok(left.endsWith("line 50000\n"));
    // A pipe holds 64 KiB and some, and what it took may be acknowledged.
    assert.ok(left.length > 300_000, `${left.length}`);
  });

  test("--exec - exit 0 acknowledges, else it is requeued or rejected; exit 6", async () => {
    await well(["declare", "dead"]);
    await well(["declare", "work", "-a", "x-dead-letter-exchange=", "-a", "x-dead-letter-routing-key=dead"]);
    await well(["put", "work"], "1\n2\n3\n");
    const exec = ["--exec", 'read n; [ $n != 2 ] && echo "ok $n $MQCAT_TOPIC"'];
    const rejecting = await queue(["get", "work", "--drain", ...exec, "--on-error", "reject"]);
    assert.deepEqual([rejecting.code, rejecting.stdout.toString()], [6, "ok 1 work\nok 3 work\n"]);
    assert.match(rejecting.stderr, /--exec: message 2: it exited with 1/);
    assert.equal(await well(["get", "dead", "-n", "1"]), "2\n");

    await well(["put", "work", "-D", "again"]);
    using dir = tempDir();
    const second = `cat; test -e ${dir.path}/f && exit 0; touch ${dir.path}/f; exit 1`;
    const requeued = await queue(["get", "work", "--drain", "--exec", second]);
    assert.deepEqual([requeued.code, requeued.stdout.toString()], [6, "again\nagain\n"]);
  });

  test("peek - shows, warns, and leaves everything in its order, on quorum queues too", async () => {
    await well(["declare", "classic peek"]);
    await well(["declare", "quorum peek", "--type", "quorum"]);
    for (const name of ["classic peek", "quorum peek"]) {
      await well(["put", name], lines(100));
      for (const count of [2, 50, 200]) {
        const { code, stdout, stderr } = await queue(["peek", name, "-n", `${count}`]);
        assert.deepEqual([code, stdout.toString()], [0, lines(Math.min(count, 100))]);
        assert.match(stderr, /marked as redelivered/);
      }
      assert.equal(await well(["get", name, "--drain"]), lines(100));
    }
    const missing = await queue(["peek", "nothing"]);
    assert.deepEqual([missing.code, missing.stderr], [1, "mqcat: queue peek: there is no queue 'nothing'\n"]);
  });

  test("declare - twice is fine, a difference is told; delete and purge", async () => {
    await well(["declare", "d1", "d2"]);
    await well(["declare", "d1", "d2"]);
    const other = await queue(["declare", "d1", "-a", "x-max-length=5"]);
    assert.equal(other.code, 1);
    assert.match(
      other.stderr,
      /queue 'd1' is there already and is different: its x-max-length is not set, and 5/,
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

  test("list, info - by the HTTP API; without it a line says what to do", async () => {
    await well(["declare", "listed", "--type", "quorum"]);
    assert.match(
      await well(["list"]),
      /^name +type +ready +unacked +consumers\n[^]*^listed +quorum +\d+ +\d+ +\d+$/m,
    );
    const records = (await well(["list", "-J"])).trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.ok(records.some(({ name }) => name === "listed"));
    await well(["put", "listed", "-D", "x"]);
    assert.match(
      await well(["info", "listed"]),
      /^name: listed\nmessages_ready: 1\nconsumers: 0\n[^]*type: quorum\n/,
    );
    const none = await queue(["list", "--http", "http://127.0.0.1:1"]);
    assert.equal(none.code, 4);
    assert.match(none.stderr, /does not answer at http:\/\/127.0.0.1:1 .*rabbitmq-plugins enable/);
  });

  test("move - all messages, with what belongs to them; not to itself; a full target loses nothing", async () => {
    await well(["put", "from"], lines(3000));
    await well(["put", "from", "-D", "last", "-H", "k: v", "-P", "priority: 7"]);
    const { code, stderr } = await queue(["move", "from", "to"]);
    assert.deepEqual([code, stderr], [0, "mqcat: queue move: moved 3001 from 'from' to 'to'\n"]);
    assert.equal(await well(["get", "from", "--drain"]), "");
    assert.equal(await well(["get", "to", "-n", "3000"]), lines(3000));
    assert.match(
      await well(["get", "to", "-n", "1", "-J"]),
      /"headers":{"k":"v"},"properties":{.*"priority":7/,
    );
    assert.equal((await queue(["move", "from", "from"])).code, 2);

    await well(["declare", "tight", "-a", "x-max-length=5", "-a", "x-overflow=reject-publish"]);
    await well(["put", "from"], lines(100));
    const full = await queue(["move", "from", "tight"]);
    assert.deepEqual([full.code, /the broker refused/.test(full.stderr)], [5, true], full.stderr);
    const everything = await well(["get", "from", "--drain"]) + await well(["get", "tight", "--drain"]);
    assert.equal(new Set(everything.trimEnd().split("\n")).size, 100);

    await well(["put", "from"], lines(3));
    const two = await queue(["move", "from", "to", "-n", "2"]);
    assert.match(two.stderr, /moved 2 from/);
    assert.doesNotMatch(await well(["get", "from", "--drain", "-J"]), /redelivered/);
  });

  test("redrive - dead letters go back to where they died, once; what never died stays", async () => {
    await well(["declare", "morgue"]);
    const toMorgue = ["-a", "x-dead-letter-exchange=", "-a", "x-dead-letter-routing-key=morgue"];
    await well(["declare", "one", "two", ...toMorgue]);
    for (const name of ["one", "two"]) {
      await well(["put", name, "-D", name, "-H", "k: v"]);
      assert.equal(
        (await queue(["get", name, "--drain", "--exec", "false", "--on-error", "reject"])).code,
        6,
      );
    }
    await well(["put", "morgue", "-D", "stray"]);
    const { code, stderr } = await queue(["redrive", "morgue"]);
    assert.equal(code, 5);
    assert.match(stderr, /gave 2 messages of 'morgue' back\n.*1 message never died in a queue, and stayed/);
    for (const name of ["one", "two"]) {
      const record = JSON.parse(await well(["get", name, "--drain", "-J"]));
      assert.deepEqual([record.body, record.headers], [name, { k: "v" }]);
    }
    assert.equal(await well(["get", "morgue", "--drain"]), "stray\n");
    assert.deepEqual(await queue(["redrive", "morgue"]).then((exit) => [exit.code, exit.stderr]), [
      0,
      "mqcat: queue redrive: 'morgue' is empty\n",
    ]);
  });

  test("usage - a missing name, two names, an option of others, the help of the family", async () => {
    for (
      const args of [["put"], ["put", "a", "--exchange", "b"], ["get"], ["move", "a"], ["bind", "a"], [
        "bogus",
      ]]
    ) {
      assert.equal((await queue(args)).code, 2, args.join(" "));
    }
    const unknown = await queue(["put", "x", "--drain"]);
    assert.match(unknown.stderr, /unknown option '--drain': queue get has it/);
    assert.match((await queue(["gte", "x"])).stderr, /did you mean queue get\?/);
    const completed = await run(["complete", "--", "queue", "put", "--exc"]);
    assert.match(completed.stdout.toString(), /^--exchange\t/);
    const help = await run(["queue", "--help"]);
    assert.deepEqual([help.code, /queue put .*queue move /s.test(help.stdout.toString())], [0, true]);
  });

  for (const file of fs.readdirSync(CHEATS).filter((name) => name.startsWith("queue-")).sort()) {
    test(`${file} - is the end of the help, and its examples print what they say`, async () => {
      const text = fs.readFileSync(`${CHEATS}${file}`, "utf8");
      const help = await run(["queue", file.slice("queue-".length, -".md".length), "-h"]);
      assert.ok(help.stdout.toString().includes(text.trimEnd()));
      const vhost = file.replace(".md", "");
      const { url, api } = await withVhost(vhost);
      // Examples are indented by four spaces; the one behind "It prints:" is an output.
      const blocks = text.split(/\n\n+/).filter((block) =>
        block.startsWith("    ") || block === "It prints:"
      );
      for (const [at, block] of blocks.entries()) {
        if (block === "It prints:" || blocks[at - 1] === "It prints:") continue;
        const expected = blocks[at + 1] === "It prints:" ? `${unindent(blocks[at + 2]!)}\n` : undefined;
        using dir = tempDir();
        using bash = shell(`set -e\n${unindent(block)}`, {
          cwd: dir.path,
          env: { AMQP_URL: url, AMQP_HTTP_URL: api },
        });
        const { code, stdout, stderr } = await bash.exit();
        assert.equal(code, 0, `${block}\n${stderr}`);
        if (expected !== undefined) assert.equal(stdout.toString(), expected, `${block}\n${stderr}`);
      }
    });
  }
});

/** A virtual host of its own for a run, so that runs of the same example do not meet. */
async function withVhost(name: string): Promise<{ url: string; api: string }> {
  const broker = await rabbitMq();
  const vhost = `${name}-${process.pid}`;
  await (await broker.api(`/vhosts/${vhost}`, "PUT")).body?.cancel();
  return { url: `${broker.url}/${vhost}`, api: broker.http };
}

function unindent(block: string): string {
  return block.trimEnd().split("\n").map((line) => line.slice(4)).join("\n");
}
