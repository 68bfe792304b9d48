/** pub, sub, push and pull at AMQP brokers; the other end is pika or amqp-tools. */
import assert from "node:assert/strict";
import process from "node:process";
import { after, describe } from "node:test";
import { BROKERS, type TestBroker } from "../support/brokers.ts";
import { tempDir, waitFor } from "../support/helpers.ts";
import {
  type Exit,
  PATIENCE,
  type Program,
  readyFile,
  run,
  start,
  type StartOptions,
  summaryOf,
} from "../support/mqcat.ts";
import { hasPika, pika } from "../support/pika.ts";

const { MQCAT_REQUIRE_PEERS } = process.env;
if (MQCAT_REQUIRE_PEERS !== undefined) assert.ok(hasPika, "pika is not installed");

let last = 0;
/** A name that no other test uses, also at a broker that runs for long. */
const fresh = (what: string) => `mqcat-${what}-${process.pid}-${++last}`;

for (const { name, test, broker, stop } of hasPika ? BROKERS : []) {
  // RabbitMQ starts slowly.

  describe(`patterns on AMQP, ${name}`, () => {
    after(stop);
    const python = async (script: string) => await pika((await broker()).url, script);
    const at = async (path: string) => `${(await broker()).url}/${path}`;
    const well = async (args: readonly string[], options: StartOptions = {}) => {
      const { code, stdout, stderr } = await run(args, options);
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      return stdout.toString();
    };

    test("push - puts durable messages into a queue that pika declared, with headers and properties", async () => {
      const queue = fresh("jobs");
      await python(`ch.queue_declare("${queue}", durable=True)`);
      const options = ["-H", "kind=order", "-H", "by: me", "-P", "content_type=text/plain"];
      await well(["push", await at(`/${queue}`), ...options], { stdin: "a\nb\n" });
      const got = await python(`
for key, body, p in take("${queue}", 2): print(key, body, p.delivery_mode, p.content_type, sorted(p.headers.items()))
ch.queue_delete("${queue}")`);
      const shown = `2 text/plain [('by', 'me'), ('kind', 'order')]`;
      assert.equal(got, `${queue} a ${shown}\n${queue} b ${shown}\n`);
    });

    test("pull - prints what pika put, and acknowledges it after stdout has taken it", async () => {
      const queue = fresh("jobs");
      await python(`
ch.queue_declare("${queue}", durable=True)
for i in range(3): ch.basic_publish("", "${queue}", b"m%d" % i, props(headers={"n": i}))`);
      assert.equal(
        await well(["pull", await at(`/${queue}`), "-n", "2", "-f", "%s %h %t\\n"]),
        `m0 n=0 ${queue}\nm1 n=1 ${queue}\n`,
      );
      const record = JSON.parse(await well(["pull", await at(`/${queue}`), "--drain", "-J", "--timestamps"]));
      assert.deepEqual([record.body, record.queue, record.headers], ["m2", queue, { n: 2 }]);
      assert.match(record.time, /^\d{4}-\d\d-\d\dT/);
      assert.equal(await python(`print(take("${queue}", 1, 0)); ch.queue_delete("${queue}")`), "[]\n");
    });

    test("pull --exec - the exit status decides what happens to a message", async () => {
      const queue = fresh("jobs");
      await python(`
ch.queue_declare("${queue}")
for body in [b"good", b"bad"]: ch.basic_publish("", "${queue}", body)`);
      const options = [
        "--exec",
        'read -r x; echo "did $x"; test "$x" = good',
        "--max-attempts",
        "1",
        "--on-error",
        "reject",
      ];
      const { code, stdout, stderr } = await run(["pull", await at(`/${queue}`), "-n", "2", ...options]);
      assert.equal(stdout.toString(), "did good\ndid bad\n");
      assert.match(stderr, /message 2 \(.*bad.*\): .*it is rejected/);
      assert.equal(code, 6);
      assert.equal(await python(`print(take("${queue}", 1, 0)); ch.queue_delete("${queue}")`), "[]\n");
    });

    test("pub - publishes by routing key; unroutable messages are no error, but with --mandatory", async () => {
      const queue = fresh("tap");
      await python(`
ch.queue_declare("${queue}")
ch.queue_bind("${queue}", "amq.topic", "order.*")`);
      const topic = await at("/amq.topic");
      await well(["pub", topic, "-t", "order.new"], { stdin: "1\n2\n" });
      await well(["pub", await at(""), "-K", " "], { stdin: "order.old 3\nother.x 4\n" });
      await well(["pub", topic, "-J", "-t", "order.usual"], {
        stdin: '{"topic":"order.json","body":"5","headers":{"h":"x"}}\n{"body":"6"}\n',
      });
      const lost = await run(["pub", topic, "-t", "nobody", "--mandatory"], { stdin: "1\n2\n" });
      assert.match(lost.stderr, /2 messages came back: no queue is bound to exchange 'amq.topic'/);
      assert.equal(lost.code, 5);
      const got = await python(`
print([[key, body] for key, body, p in take("${queue}", 5)])
ch.queue_delete("${queue}")`);
      assert.equal(
        got,
        "[['order.new', '1'], ['order.new', '2'], ['order.old', '3'], ['order.json', '5'], ['order.usual', '6']]\n",
      );
    });

    test("pub - paces, counts and summarizes", async () => {
      const options = ["-t", "x", "-D", "tick", "-i", "1ms", "-n", "3", "--summary"];
      const { code, stderr } = await run(["pub", await at("/amq.fanout"), ...options]);
      const { sent, confirmed, unsent } = summaryOf(stderr);
      assert.deepEqual([code, sent, confirmed, unsent], [0, 3, 3, 0]);
    });

    test("sub - receives what pika publishes, by pattern, and prints topic and headers", async () => {
      await using sub = await subscriber(broker, "/amq.topic", [
        "-t",
        "order.#",
        "-t",
        "news",
        "-K",
        " ",
        "-n",
        "3",
      ]);
      await python(`
for key in ["order.new", "other", "news", "order.a.b"]: ch.basic_publish("amq.topic", key, b"body of " + key.encode())`);
      const expected = "order.new body of order.new\nnews body of news\norder.a.b body of order.a.b\n";
      assert.deepEqual(await ended(sub), [0, expected, ""]);
    });

    test("sub - records have the topic, the exchange, headers and properties", async () => {
      await using sub = await subscriber(broker, "", ["-n", "1", "-J"]);
      await python(
        `ch.basic_publish("amq.topic", "k.v", bytes([255]), props(headers={"a": 1}, content_type="x/y"))`,
      );
      const { code, stdout } = await sub.program.exit();
      assert.equal(code, 0);
      const { endpoint: _, ...record } = JSON.parse(stdout.toString());
      assert.deepEqual(record, {
        body_base64: "/w==",
        topic: "k.v",
        exchange: "amq.topic",
        headers: { a: 1 },
        properties: { content_type: "x/y" },
      });
    });

    test("sub - binds to fanout, headers and direct exchanges of any name", async () => {
      const exchange = fresh("exchange");
      await python(`
for type in ["fanout", "headers", "direct"]: ch.exchange_declare("${exchange}-" + type, type, auto_delete=type == "fanout")`);
      {
        await using all = await subscriber(broker, `/${exchange}-fanout`, ["-n", "1", "-0"]);
        await using matching = await subscriber(broker, `/${exchange}-headers`, [
          "-H",
          "kind=a",
          "-H",
          "n=5",
          "-n",
          "2",
        ]);
        await using keyed = await subscriber(broker, `/${exchange}-direct`, [
          "-t",
          "k",
          "-n",
          "1",
          "--out",
          "u32",
        ]);
        await python(`
ch.basic_publish("${exchange}-fanout", "whatever", b"to all")
for headers in [{"kind": "b", "n": 5}, {"kind": "a", "n": 5}, {"kind": "a"}, {"kind": "a", "n": "5", "more": 1}]:
    ch.basic_publish("${exchange}-headers", "", repr(sorted(headers)).encode(), props(headers=headers))
for key in ["other", "k"]: ch.basic_publish("${exchange}-direct", key, key.encode())`);
        assert.deepEqual(await ended(all), [0, "to all\0", ""]);
        assert.deepEqual(await ended(matching), [0, "['kind', 'n']\n['kind', 'more', 'n']\n", ""]);
        assert.deepEqual(await ended(keyed), [0, "\0\0\0\x01k", ""]);
      }
      const { code, stderr } = await run(["sub", await at(`/${exchange}-direct`)]);
      assert.match(stderr, /'mqcat-exchange-.*' is a direct exchange, which has no pattern for all messages/);
      assert.equal(code, 2);
      await python(`for type in ["headers", "direct"]: ch.exchange_delete("${exchange}-" + type)`);
    });

    test("sub - takes nothing from other receivers, and its queue is deleted at the end", async () => {
      const queue = fresh("jobs");
      await python(`
ch.queue_declare("${queue}")
ch.queue_bind("${queue}", "amq.topic", "job.#")`);
      const before = await queueCount(await broker());
      await using sub = await subscriber(broker, "/amq.topic", ["-t", "job.#"]);
      await python(`for i in range(5): ch.basic_publish("amq.topic", "job.x", b"%d" % i)`);
      await sub.program.waitForStdout(/4\n/);
      sub.program.kill("SIGTERM");
      assert.equal((await sub.program.exit()).code, 143);
      await waitFor(
        async () => await queueCount(await broker()) === before,
        PATIENCE,
        "the end of the queue",
      );
      assert.equal(await python(`print(len(take("${queue}", 5))); ch.queue_delete("${queue}")`), "5\n");
    });

    test("sub - the trace exchange has a copy of each publish and each delivery, also of the default exchange", async () => {
      const queue = fresh("traced");
      await python(`ch.queue_declare("${queue}")`);
      await setTracing(await broker(), true);
      const args = ["-t", "publish.#", "-t", `deliver.${queue}`, "-J", "-n", "3"];
      const { url, http } = await broker();
      using dir = tempDir();
      using trace = start([
        "queue",
        "trace",
        "--queue",
        queue,
        "-J",
        "-n",
        "2",
        "--ready-file",
        dir.file("tracing"),
      ], {
        env: { AMQP_URL: url, AMQP_HTTP_URL: http },
      });
      await readyFile(dir.file("tracing"));
      await using sub = await subscriber(broker, "/amq.rabbitmq.trace", args);
      await python(`
ch.basic_publish("", "${queue}", b"one", props(content_type="text/plain", headers={"a": 1}))
ch.basic_publish("amq.topic", "unrouted", b"two")
print(take("${queue}"))
ch.queue_delete("${queue}")`);
      const { code, stdout } = await sub.program.exit();
      const events = (await trace.exit()).stdout.toString().trim().split("\n").map((line) =>
        JSON.parse(line)
      );
      assert.deepEqual(
        events.map(({ event, key, queues, queue, size }) => [event, key ?? queue, queues?.[0].queue, size]),
        [["publish", queue, queue, 3], ["deliver", queue, undefined, 3]],
      );
      for (const { user, connection } of events) assert.match(`${user} ${connection}`, /^guest \S+ -> \S+$/);
      await setTracing(await broker(), false);
      assert.equal(code, 0);
      const shown = stdout.toString().trim().split("\n").map((line) => {
        const {
          topic,
          body,
          headers: { exchange_name, routing_keys, routed_queues, redelivered, properties },
        } = JSON
          .parse(line);
        return [
          topic,
          body,
          exchange_name,
          routing_keys,
          routed_queues,
          redelivered,
          properties.content_type,
        ];
      });
      assert.deepEqual(shown, [
        ["publish.", "one", "", [queue], [queue], undefined, "text/plain"],
        ["publish.amq.topic", "two", "amq.topic", ["unrouted"], [], undefined, undefined],
        [`deliver.${queue}`, "one", "", [queue], undefined, 0, "text/plain"],
      ]);
    });

    test("sub - binds again after the connection was lost", async () => {
      await using sub = await subscriber(broker, "/amq.topic", ["-t", "again.#", "-n", "2", "-v"]);
      await python(`ch.basic_publish("amq.topic", "again.1", b"before")`);
      await sub.program.waitForStdout(/before\n/);
      await waitFor(
        async () => await (await broker()).dropConnections() > 0,
        PATIENCE,
        "a connection to drop",
      );
      await sub.program.waitForStderr(/connected: [^]*connected: /);
      // "connected" comes before the binding.
      const publishing = new AbortController();
      const repeat = async () => {
        while (!publishing.signal.aborted) await python(`ch.basic_publish("amq.topic", "again.2", b"after")`);
      };
      const repeated = repeat();
      const { code, stdout } = await sub.program.exit();
      publishing.abort();
      await repeated;
      assert.deepEqual([code, stdout.toString()], [0, "before\nafter\n"]);
    });

    test("sub --exec -j - runs a command for each message; a failed one is not repeated", async () => {
      await using sub = await subscriber(broker, "/amq.topic", [
        "-t",
        "exec.#",
        "-n",
        "3",
        "-j",
        "2",
        "--exec",
        'read -r x; echo "$MQCAT_TOPIC $x"; test "$x" != 2',
      ]);
      await python(`for i in range(1, 4): ch.basic_publish("amq.topic", "exec.%d" % i, b"%d" % i)`);
      const { code, stdout, stderr } = await sub.program.exit();
      assert.deepEqual(stdout.toString().trim().split("\n").sort(), ["exec.1 1", "exec.2 2", "exec.3 3"]);
      assert.match(stderr, /message 2 \(.*\): .* \(attempt 1 of 1\)$/m);
      assert.equal(code, 6);
    });

    test("sub, pull - -w gives up with exit code 3", async () => {
      const queue = fresh("jobs");
      await python(`ch.queue_declare("${queue}")`);
      for (const args of [["sub", await at("/amq.fanout")], ["pull", await at(`/${queue}`)]]) {
        const { code, stderr } = await run([...args, "-w", "2"]);
        assert.match(stderr, /no message arrived for 2 s \(-w\)/);
        assert.equal(code, 3);
      }
      await python(`ch.queue_delete("${queue}")`);
    });

    test("a short address names something at $AMQP_URL", async () => {
      const { url } = await broker();
      const queue = fresh("jobs");
      const env = { AMQP_URL: url };
      await well(["push", `amqp:${queue}`, "--declare", "-D", "x"], { env });
      assert.equal(await well(["pull", `amqp:${queue}`, "--drain"], { env }), "x\n");
      // The queue that --declare made is durable.
      await python(`ch.queue_declare("${queue}", durable=True); ch.queue_delete("${queue}")`);
    });

    test("a wrong name is an error that names it, and creates nothing", async () => {
      const missing = fresh("missing");
      for (
        const [command, what] of [["push", "queue"], ["pull", "queue"], ["pub", "exchange"], [
          "sub",
          "exchange",
        ]]
      ) {
        const { code, stderr } = await run([command!, await at(`/${missing}`), "-w", "20"], { stdin: "x\n" });
        assert.match(stderr, new RegExp(`there is no ${what} '${missing}'`));
        assert.equal(code, 1);
      }
      assert.equal(
        await python(`print(has_queue("${missing}"), has_exchange("${missing}"))`),
        "False False\n",
      );
      const similar = await run(["sub", await at("/amq.topics")]);
      assert.match(similar.stderr, /there is no exchange 'amq.topics' \(did you mean 'amq.topic'\?\)/);
    });

    test("the port of the HTTP API is reported as such, and no error shows the password", async () => {
      const { http } = await broker();
      const { host } = new URL(http);
      const { code, stderr } = await run(["sub", `amqp://guest:sesame@${host}//x`]);
      assert.match(stderr, /is the port of the HTTP API.*AMQP is usually at 5672/);
      assert.equal(code, 4);
      assert.doesNotMatch(stderr, /sesame/);
    });

    test("a ZeroMQ socket that meets the broker reports the form of its address", async () => {
      const { port } = await broker();
      const { code, stderr } = await run(["sub", `tcp://127.0.0.1:${port}`, "-w", "20"]);
      assert.match(stderr, /the peer is an AMQP broker.*amqp:\/\/host:port\/\/name/);
      assert.equal(code, 4);
    });
  });
}

/** Starts `sub`, and waits until it is subscribed. */
async function subscriber(broker: () => Promise<TestBroker>, path: string, args: readonly string[]) {
  const dir = tempDir();
  const { url } = await broker();
  const program: Program = start(["sub", `${url}/${path}`, "--ready-file", dir.file("ready"), ...args]);
  await program.readyEndpoint();
  return {
    program,
    [Symbol.asyncDispose](): Promise<void> {
      program[Symbol.dispose]();
      dir.remove();
      return Promise.resolve();
    },
  };
}

async function ended({ program }: { readonly program: Program }): Promise<[number, string, string]> {
  const { code, stdout, stderr }: Exit = await program.exit();
  return [code, stdout.toString(), stderr];
}

/** The number of queues at a broker. */
async function queueCount(broker: TestBroker): Promise<number> {
  return (await (await askApi(broker, "queues")).json()).length;
}

/** RabbitMQ traces a virtual host only after it is enabled there. */
async function setTracing(broker: TestBroker, tracing: boolean): Promise<void> {
  await (await askApi(broker, "vhosts/%2F", { method: "PUT", body: JSON.stringify({ tracing }) })).body
    ?.cancel();
}

async function askApi({ http, url }: TestBroker, path: string, request: RequestInit = {}): Promise<Response> {
  const { username, password } = new URL(url);
  const reply = await fetch(`${http}/api/${path}`, {
    ...request,
    headers: { authorization: `Basic ${btoa(`${username}:${password}`)}` },
  });
  assert.ok(reply.ok, `${path}: ${reply.status}`);
  return reply;
}
