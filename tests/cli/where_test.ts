/** --where: sub, pull and proxy at ZeroMQ and at brokers, with pika as a publisher and as a consumer with a filter. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Broker } from "../../lib/broker/server.ts";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { PATIENCE, readyFileOf, run, start, summaryOf, test, through } from "../support/mqcat.ts";
import { hasPika, pika } from "../support/pika.ts";

let own: Promise<Record<"amqp" | "mqtt" | "stomp", string> & { readonly broker: Broker }> | undefined;

/** Our broker with all of its protocols. */
async function open() {
  own ??= (async () => {
    const broker = await Broker.open();
    return {
      broker,
      amqp: (await broker.listen("amqp://127.0.0.1:0")).replace("//", "//guest:guest@"),
      mqtt: await broker.listen("mqtt://127.0.0.1:0"),
      stomp: await broker.listen("stomp://127.0.0.1:0"),
    };
  })();
  return await own;
}

const RECORDS = [1, 2, 3, 4].map((n) =>
  JSON.stringify({ body: JSON.stringify({ n }), headers: { n: String(n) } })
).join("\n");

describe("--where", () => {
  after(async () => (await own)?.broker.close());

  test("pull over ZeroMQ - prints and counts only what matches", async () => {
    const lines = { stdin: "one\ntwo\nthree\nfour\n" };
    assert.equal(String(await through(["push"], ["pull", "--where", "size > 3"], lines)), "three\nfour\n");
    assert.equal(
      String(await through(["push"], ["pull", "--where", 'body =~ "^t"', "-n", "1"], lines)),
      "two\n",
    );
    assert.equal(String(await through(["push"], ["pull", "--where", "topic or headers.a"], lines)), "");
  });

  test("sub over ZeroMQ - the topic is the first of several frames", async () => {
    using dir = tempDir();
    using sub = start([
      "sub",
      `@ipc://${dir.file("s")}`,
      "--where",
      'topic == "b" and json.n > 1',
      "--transient",
      "--summary",
    ]);
    await sub.readyEndpoint();
    const stdin = 'a {"n":1}\nb {"n":1}\nb {"n":2}\nb x\nc {"n":3}\n';
    const pub = await run(["pub", `>ipc://${dir.file("s")}`, "-K", " "], { stdin });
    assert.equal(pub.code, 0, pub.stderr);
    const { stdout, stderr } = await sub.exit();
    assert.equal(stdout.toString(), '{"n":2}\n');
    assert.equal(summaryOf(stderr)["received"], 1);
  });

  test("proxy between ZeroMQ sockets - forwards only what matches", async () => {
    using dir = tempDir();
    const sides = ["--from", "@tcp://127.0.0.1:0", "--to", `@ipc://${dir.file("to")}`];
    using proxy = start([
      "proxy",
      ...sides,
      "--pattern",
      "pushpull",
      "--where",
      "size > 3",
      "--transient",
      "--ready-file",
      dir.file("ready"),
    ]);
    const [from, to] = await readyFileOf(proxy, dir.file("ready"));
    using pull = start(["pull", `>${to}`, "-n", "2"]);
    await run(["push", from!], { stdin: "one\ntwo\nthree\nfour\n" });
    assert.equal((await pull.exit()).stdout.toString(), "three\nfour\n");
    const refused = await run(["proxy", ...sides, "--pattern", "reqrep", "--where", "size > 3"]);
    assert.deepEqual([refused.code, /without a reply/.test(refused.stderr)], [2, true]);
  });

  for (
    const [system, from, to] of [
      ["amqp", "//amq.topic", "//amq.topic"],
      ["mqtt", "/t/%23", "/t/x"],
      ["stomp", "/topic/t", "/topic/t"],
    ] as const
  ) {
    test(`sub over ${system} - drops what does not match`, async () => {
      using dir = tempDir();
      const url = (await open())[system];
      const filter = "headers.n > 2 and json.n < 5";
      // A small prefetch limit would stop the deliveries if dropped messages were not acknowledged.
      const limit = system === "stomp" ? [] : ["--prefetch", "2"];
      const ready = dir.file("ready");
      using sub = start(["sub", url + from, "--where", filter, "-n", "4", "--ready-file", ready, ...limit]);
      await readyFileOf(sub, ready);
      for (let i = 0; i < 2; i++) {
        const { code, stderr } = await run(["pub", url + to, "-J"], { stdin: RECORDS });
        assert.equal(code, 0, stderr);
      }
      const { stdout, code, stderr } = await sub.exit();
      assert.deepEqual([code, stdout.toString()], [0, '{"n":3}\n{"n":4}\n{"n":3}\n{"n":4}\n'], stderr);
    });
  }

  test("pull over MQTT and STOMP - say why not, or what it needs", async () => {
    const { mqtt, stomp, amqp } = await open();
    const group = await run(["pull", `${mqtt}/t`, "--group", "g", "--where", "size > 1"]);
    assert.deepEqual([group.code, /cannot be returned to the others of the group/.test(group.stderr)], [
      2,
      true,
    ]);
    await run(["push", `${amqp}//stomped`, "--declare", "-J"], { stdin: RECORDS });
    const args = ["pull", `${stomp}/queue/stomped`, "--where", "json.n == 3", "-n", "1"];
    const unforced = await run(args);
    assert.deepEqual([unforced.code, /--force does it/.test(unforced.stderr)], [2, true]);
    const forced = await run([...args, "--force"]);
    assert.deepEqual([forced.code, forced.stdout.toString()], [0, '{"n":3}\n'], forced.stderr);
    const left = await run(["queue", "get", "stomped", "--drain", "--url", amqp]);
    assert.equal(left.stdout.toString(), '{"n":1}\n{"n":2}\n{"n":4}\n');
  });

  test("proxy from a queue - takes what matches and leaves the rest", async () => {
    const { amqp } = await open();
    await run(["push", `${amqp}//proxied`, "--declare", "-J"], { stdin: RECORDS });
    await run(["queue", "declare", "forwarded", "--url", amqp]);
    const { code, stderr } = await run([
      "proxy",
      "--pattern",
      "pushpull",
      "--from",
      `${amqp}//proxied`,
      "--to",
      `${amqp}//forwarded`,
      "--where",
      "json.n >= 3",
      "-n",
      "2",
    ]);
    assert.equal(code, 0, stderr);
    for (const [queue, bodies] of [["forwarded", "34"], ["proxied", "12"]] as const) {
      const left = await run(["queue", "get", queue, "--drain", "--url", amqp, "-J"]);
      assert.doesNotMatch(left.stdout.toString(), /redelivered/);
      assert.equal(left.stdout.toString().match(/(?<=n\\":)\d/g)?.join(""), bodies, left.stdout.toString());
    }
  });

  const withPika = requirePeer("pika", hasPika, 3 * PATIENCE);

  withPika("pika publishes, and consumes with a filter - headers and properties of every type", async () => {
    const { amqp } = await open();
    const well = async (...args: string[]) => {
      const { code, stdout, stderr } = await run(["queue", ...args, "--url", amqp]);
      assert.equal(code, 0, stderr);
      return stdout.toString();
    };
    const printed = await pika(
      amqp,
      `
import datetime, decimal
ch.queue_declare("snake", durable=True)
death = [{"count": 5, "queue": "jobs", "time": datetime.datetime(2026, 1, 1)}]
for n in range(1, 5):
    headers = {"x-death": death[:n % 2], "n": n, "big": 2**40 + n, "f": decimal.Decimal(n) / 2, "ok": n > 2, "none": None,
               "nested": {"a": [{"b c": n}]}, "text": str(n)}
    ch.basic_publish("", "snake", str(n), props(headers=headers, content_type="text/plain", priority=n,
                     timestamp=int(time.time()) - 60 * n, delivery_mode=2))
got = []
for method, properties, body in ch.consume("snake", arguments={"x-mqcat-where": "headers.n == 2"}, inactivity_timeout=5):
    got.append(body.decode())
    ch.basic_ack(method.delivery_tag)
    break
ch.cancel()
print(",".join(got))`,
    );
    assert.equal(printed.trim(), "2");
    for (
      const [filter, bodies] of [
        ["headers.x-death[0].count > 3", "1 3"],
        ['headers.x-death[0].queue == "jobs" and headers.x-death[0].time > 1.7e9', "1 3"],
        ["headers.big >= 1099511627779", "3 4"],
        ["headers.f == 1.5", "3"],
        ["headers.ok", "3 4"],
        ["headers.none == null and not headers.none", "1 3 4"],
        ['headers.nested.a[0]["b c"] != 3', "1 4"],
        ["headers.text < 4", "1 3"],
        ['properties.content_type =~ "^text/" and properties.priority > 1', "3 4"],
        ["age > 90s", "3 4"],
        ['topic == "snake" and exchange == ""', "1 3 4"],
      ] as const
    ) {
      assert.equal(
        (await well("peek", "snake", "--where", filter)).trim().split("\n").join(" "),
        bodies,
        filter,
      );
    }
  });
});
