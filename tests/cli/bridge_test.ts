/** `mqcat proxy` between ZeroMQ and AMQP brokers; the other ends are pyzmq and pika. */
import assert from "node:assert/strict";
import process from "node:process";
import { after, describe } from "node:test";
import { BROKERS } from "../support/brokers.ts";
import { installed, requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import {
  PATIENCE,
  type Program,
  readyFileOf,
  run,
  shell,
  start,
  summaryOf,
  test as plainTest,
} from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";
import { hasPika, pika } from "../support/pika.ts";
import { framesOf, hasPyzmq, zmqReceiver, zmqSender } from "../support/pyzmq.ts";

if (process.env["MQCAT_REQUIRE_PEERS"] !== undefined) {
  assert.ok(hasPika && hasPyzmq, "a peer is not installed");
}

/** All bodies of a queue that has no other user. */
const DRAIN = `
def drain(queue):
    found = []
    while (got := ch.basic_get(queue, auto_ack=True))[0] is not None: found.append(got[2].decode())
    return found`;

let last = 0;
/** A name that no other test uses, also at a broker that runs for long. */
const fresh = (what: string) => `mqcat-${what}-${process.pid}-${++last}`;

/** Starts a bridge; returns the addresses of its two sides when both are ready. */
async function bridge(args: readonly string[]): Promise<{ proxy: Program; from: string; to: string }> {
  using dir = tempDir();
  const proxy = start(["proxy", "--summary", "--ready-file", dir.file("ready"), ...args]);
  const [from, to] = await readyFileOf(proxy, dir.file("ready"));
  return { proxy, from: from!, to: to! };
}

/** Ends a bridge by a signal. @returns its summary and stderr */
async function stop(proxy: Program): Promise<{ summary: Record<string, number>; stderr: string }> {
  proxy.kill("SIGTERM");
  const { code, stderr } = await proxy.exit();
  assert.equal(code, 143, stderr);
  return { summary: summaryOf(stderr), stderr };
}

for (const { name, test, broker, stop: stopBroker } of hasPika && hasPyzmq ? BROKERS : []) {
  // RabbitMQ starts slowly.

  describe(`bridge, ${name}`, () => {
    after(stopBroker);
    const python = async (script: string) => await pika((await broker()).url, `${DRAIN}\n${script}`);
    const at = async (path: string) => `${(await broker()).url}/${path}`;
    const binding = "@tcp://127.0.0.1:0";
    /** Puts JSON records into a queue. */
    const put = async (queue: string, bodies: readonly string[]) => {
      const stdin = bodies.map((body) => `${body}\n`).join("");
      const { code, stderr } = await run(["push", await at(`/${queue}`), "--declare"], { stdin });
      assert.equal(code, 0, stderr);
    };
    const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);

    test("ZeroMQ PUSH to a queue - bodies and topics arrive, persistent; other frames are reported", async () => {
      const queue = fresh("jobs");
      const sides = ["--from", binding, "--to", await at(`/${queue}`), "--declare"];
      const { proxy, from } = await bridge(["--pattern", "pushpull", ...sides]);
      using _ = proxy;
      const messages = [["one"], ["topic", "two"], ["a", "b", "c"], [""]];
      using push = zmqSender("PUSH", from, messages);
      assert.equal((await push.exit()).code, 0);
      const got = await python(`
for key, body, p in take("${queue}", 3): print(json.dumps([key, body, p.delivery_mode, p.headers]))
ch.queue_delete("${queue}")`);
      assert.deepEqual(got.trimEnd().split("\n").map((line) => JSON.parse(line)), [
        [queue, "one", 2, null],
        [queue, "two", 2, { "x-topic": "topic" }],
        [queue, "", 2, null],
      ]);
      proxy.kill("SIGTERM");
      const { code, stderr } = await proxy.exit();
      assert.deepEqual(
        [code, summaryOf(stderr)["confirmed"], summaryOf(stderr)["dropped"]],
        [5, 3, 1],
        stderr,
      );
      assert.match(
        stderr,
        /dropped a message of 3 frames: a message of other systems has a topic and a body/,
      );
    });

    test("an exchange to ZeroMQ PUB - by pattern; properties are reported once; --topic-map, --tap", async () => {
      const exchange = fresh("events");
      await python(`ch.exchange_declare("${exchange}", "topic", durable=True)`);
      const options = ["-t", "order.#", "--topic-map", "^order[.](.*)=>o/$1", "--tap", "-", "-f", "%t %s\\n"];
      const sides = ["--from", await at(`/${exchange}`), "--to", binding];
      const { proxy, to } = await bridge(["--pattern", "pubsub", ...options, ...sides, "-v"]);
      using _ = proxy;
      using sub = zmqReceiver("SUB", to, 3);
      await proxy.waitForStderr(/subscribed/);
      await python(`
for key, body in [("order.new", "1"), ("user.new", "2"), ("order.paid", "3"), ("order", "4")]:
    ch.basic_publish("${exchange}", key, body, props(content_type="text/plain", headers={"k": "v"}))`);
      assert.equal((await sub.exit()).code, 0);
      assert.deepEqual(framesOf(sub), [["o/new", "1"], ["o/paid", "3"], ["order", "4"]]);
      const { summary, stderr } = await stop(proxy);
      assert.equal(proxy.text, "order.new 1\norder.paid 3\norder 4\n");
      assert.deepEqual([summary["received"], summary["sent"], summary["unsent"]], [3, 3, 0], stderr);
      assert.equal(stderr.match(/has no place for headers and properties/g)?.length, 1, stderr);
      await python(`ch.exchange_delete("${exchange}")`);
    });

    test("a queue and back - what ZeroMQ sends to a queue arrives frame by frame from it", async () => {
      const queue = fresh("round");
      const there = await bridge([
        "--pattern",
        "sub-push",
        "--from",
        binding,
        "--to",
        await at(`/${queue}`),
        "--declare",
      ]);
      using _there = there.proxy;
      const messages = [["a", "1"], ["", "2"], ["ü/x.y", "3"], ["only"]];
      using pub = zmqSender("XPUB", there.from, messages);
      assert.equal((await pub.exit()).code, 0);
      const back = await bridge(["--pattern", "pushpull", "--from", await at(`/${queue}`), "--to", binding]);
      using _back = back.proxy;
      using pull = zmqReceiver("PULL", back.to, messages.length);
      await pull.exit();
      assert.deepEqual(framesOf(pull), [["a", "1"], ["2"], ["ü/x.y", "3"], ["only"]]);
      await stop(there.proxy);
      await stop(back.proxy);
      assert.equal(await python(`print(take("${queue}", 1, 0)); ch.queue_delete("${queue}")`), "[]\n");
    });

    test("-K - splits the topic from messages of one frame", async () => {
      const exchange = "amq.topic";
      const queue = fresh("split");
      await python(`ch.queue_declare("${queue}"); ch.queue_bind("${queue}", "${exchange}", "nasdaq.#")`);
      const sides = ["--from", binding, "--to", await at(`/${exchange}`)];
      const { proxy, from } = await bridge(["--pattern", "pull-pub", "-K", " ", ...sides]);
      using _ = proxy;
      using push = zmqSender("PUSH", from, [["nasdaq.aapl 195 USD"], ["nyse.ibm 182"], ["nasdaq.msft 411"]]);
      await push.exit();
      const got = await python(`print([m[:2] for m in take("${queue}", 2)]); ch.queue_delete("${queue}")`);
      assert.equal(got, "[['nasdaq.aapl', '195 USD'], ['nasdaq.msft', '411']]\n");
      await stop(proxy);
    });

    test("without a puller - takes no more than its window; a signal loses nothing", async () => {
      const queue = fresh("full");
      await put(queue, numbers(3000));
      const sides = ["--from", await at(`/${queue}`), "--to", binding, "--prefetch", "50"];
      const { proxy } = await bridge(["--pattern", "pushpull", ...sides]);
      using _ = proxy;
      await waitFor(
        async () =>
          await python(`print(ch.queue_declare("${queue}", passive=True).method.message_count)`) === "2950\n",
        PATIENCE,
        "the prefetched messages",
      );
      const { summary } = await stop(proxy);
      assert.deepEqual([summary["sent"], summary["unsent"]], [0, 0]);
      assert.equal(
        await python(
          `print(ch.queue_declare("${queue}", passive=True).method.message_count); ch.queue_delete("${queue}")`,
        ),
        "3000\n",
      );
    });

    test("-n - ends after this number, and leaves the others in the queue in order", async () => {
      const [queue, other] = [fresh("first"), fresh("second")];
      await put(queue, numbers(10));
      const sides = ["--from", await at(`/${queue}`), "--to", await at(`/${other}`), "--declare"];
      const { code, stderr } = await run([
        "proxy",
        "--pattern",
        "pushpull",
        "-n",
        "4",
        "--summary",
        ...sides,
      ]);
      assert.deepEqual([code, summaryOf(stderr)["confirmed"]], [0, 4], stderr);
      assert.equal(
        await python(`
for name in ["${other}", "${queue}"]:
    print("".join(drain(name)))
    ch.queue_delete(name)`),
        "0123\n456789\n",
      );
    });

    test("two brokers - from a queue of ours to a queue of the other, unchanged", async () => {
      const queue = fresh("across");
      using ours = start(["queue", "serve", ":0", "--memory"]);
      const url = (await ours.readyEndpoint()).replace("://", "://guest:guest@");
      await pika(
        url,
        `
ch.queue_declare("${queue}", durable=True)
for i in range(300): ch.basic_publish("", "${queue}", str(i), props(delivery_mode=2, headers={"n": i}))`,
      );
      const sides = ["--from", `${url}//${queue}`, "--to", await at(`/${queue}`), "--declare"];
      const { code, stderr } = await run(["proxy", "--pattern", "pushpull", "-n", "300", ...sides]);
      assert.equal(code, 0, stderr);
      const got = await python(`
found = take("${queue}", 300, 60)
print([body for key, body, p in found] == [str(i) for i in range(300)], all(p.headers == {"n": i} and p.delivery_mode == 2
    for i, (key, body, p) in enumerate(found)))
ch.queue_delete("${queue}")`);
      assert.equal(got, "True True\n");
    });

    test("a missing queue or exchange - exit code 1 with its name, and nothing is created", async () => {
      const [there, missing] = [fresh("there"), fresh("missing")];
      await put(there, ["x"]);
      const cases: [pattern: string, from: string, to: string, words: RegExp][] = [
        ["pushpull", there, missing, new RegExp(`no queue '${missing}'.*--declare creates it`)],
        ["pushpull", missing, there, new RegExp(`no queue '${missing}'`)],
        ["pubsub", missing, "amq.topic", new RegExp(`no exchange '${missing}'`)],
        ["pubsub", "amq.topic", missing, new RegExp(`no exchange '${missing}'`)],
      ];
      for (const [pattern, from, to, words] of cases) {
        const sides = ["--from", await at(`/${from}`), "--to", await at(`/${to}`)];
        const { code, stderr } = await run(["proxy", "--pattern", pattern, ...sides]);
        assert.deepEqual([code, words.test(stderr)], [1, true], stderr);
      }
      const declared = `print(has_queue("${missing}"), has_exchange("${missing}"), len(take("${there}")))`;
      assert.equal(await python(`${declared}; ch.queue_delete("${there}")`), "False False 1\n");
    });

    test("a full queue - the bridge ends with 5, and nothing is lost", async () => {
      const [queue, tight] = [fresh("many"), fresh("tight")];
      await put(queue, numbers(50));
      await python(
        `ch.queue_declare("${tight}", arguments={"x-max-length": 5, "x-overflow": "reject-publish"})`,
      );
      const sides = ["--from", await at(`/${queue}`), "--to", await at(`/${tight}`)];
      const { code, stderr } = await run(["proxy", "--pattern", "pushpull", ...sides]);
      assert.deepEqual([code, /the broker refused \d+ messages?/.test(stderr)], [5, true], stderr);
      const seen = await python(`
print(len(set(drain("${queue}") + drain("${tight}"))))
for name in ["${queue}", "${tight}"]: ch.queue_delete(name)`);
      assert.equal(seen, "50\n");
    });

    test("-w - exits with 3 when no message arrives", async () => {
      const sides = ["--from", await at("/amq.topic"), "--to", binding];
      const { code, stderr } = await run(["proxy", "--pattern", "pubsub", "-w", "5s", ...sides]);
      assert.deepEqual([code, /no message arrived for 5 s \(-w\)/.test(stderr)], [3, true], stderr);
    });

    test("properties and headers - are unchanged from a queue to an exchange, but CC is removed", async () => {
      const [queue, exchange, copy] = [fresh("from"), fresh("to"), fresh("copy")];
      await python(`
ch.exchange_declare("${exchange}", "fanout")
for name in ["${queue}", "${copy}"]: ch.queue_declare(name)
ch.queue_bind("${copy}", "${exchange}")
ch.basic_publish("", "${queue}", "x", props(content_type="a/b", message_id="m", priority=3, timestamp=7,
    headers={"n": 1, "t": {"k": [1, "two"]}, "CC": ["${copy}"]}))
take("${copy}")`);
      const sides = ["--from", await at(`/${queue}`), "--to", await at(`/${exchange}`)];
      assert.equal((await run(["proxy", "--pattern", "pull-pub", "-n", "1", ...sides])).code, 0);
      const got = await python(`
for key, body, p in take("${copy}", 2, 1): print(key, body, p.content_type, p.message_id, p.priority, p.timestamp, p.headers)
ch.exchange_delete("${exchange}")
for name in ["${queue}", "${copy}"]: ch.queue_delete(name)`);
      assert.equal(got, " x a/b m 3 7 {'n': 1, 't': {'k': [1, 'two']}}\n");
    });
  });
}

describe("bridge", () => {
  const mistakes: [string[], RegExp][] = [
    [["--pattern", "reqrep", "--from", ":1", "--to", "amqp:q"], /reqrep joins ZeroMQ sockets only/],
    [
      ["--pattern", "pushpull", "-t", "x", "--from", "amqp:q", "--to", ":1"],
      /-t would leave the other messages/,
    ],
    [["--pattern", "pubsub", "--last-value", "--from", "amqp:x", "--to", ":1"], /--last-value is for pubsub/],
    [
      ["--pattern", "pushpull", "-n", "1", "--from", ":1", "--to", ":2"],
      /-n is for a bridge between systems/,
    ],
    [["--pattern", "pushpull", "--declare", "--from", ":1", "--to", ":2"], /--declare is for AMQP/],
    [["--pattern", "pushpull", "--declare", "--from", "amqp:q", "--to", ":2"], /--declare is for AMQP/],
    [
      ["--pattern", "pushpull", "--hwm", "1", "--from", ":1", "--to", "amqp:q"],
      /--hwm is for ZeroMQ, not for AMQP/,
    ],
    [["--pattern", "pushpull", "--transient", "--from", "amqp:q", "--to", ":1"], /--transient is for ZeroMQ/],
    [["--pattern", "pushpull", "--on-full", "drop", "--from", "amqp:q", "--to", ":1"], /--on-full drop/],
    [
      ["--pattern", "pushpull", "--from", "amqp:a", "--from", "amqp:b", "--to", ":1"],
      /takes one address of a broker/,
    ],
    [["--pattern", "pushpull", "--from", "amqp:a", "--to", "amqp:a"], /go around for ever/],
    [
      ["--pattern", "pubsub", "--client-id", "x", "--from", ":1", "--to", "mqtt:x"],
      /--client-id is for MQTT, not for ZeroMQ/,
    ],
    [["--pattern", "pushpull", "--from", ":1", "--to", "@amqp:q"], /mqcat connects to brokers/],
    [["--pattern", "pushpull", "--from", ":1", "--to", "amqp://host"], /names no queue/],
    [
      ["--pattern", "pubsub", "--topic-map", "a", "--from", ":1", "--to", "amqp:x"],
      /expected 'REGEX=>REPLACEMENT'/,
    ],
    [
      ["--pattern", "pubsub", "--topic-map", "(?=a)=>", "--from", ":1", "--to", "amqp:x"],
      /--topic-map: .*lookahead/,
    ],
    [
      ["--pattern", "pubsub", "--topic-map", "a=>$1", "--from", ":1", "--to", "amqp:x"],
      /the replacement names \$1/,
    ],
  ];
  for (const [args, words] of mistakes) {
    plainTest(`usage - ${args.join(" ")}`, async () => {
      const { code, stderr } = await run(["proxy", ...args]);
      assert.match(stderr, words);
      assert.equal(code, 2);
    });
  }

  plainTest("--transient - a bridge from ZeroMQ ends when its peers are gone", async () => {
    using broker = start(["queue", "serve", ":0", "--memory"]);
    const url = await broker.readyEndpoint();
    const sides = ["--from", "@tcp://127.0.0.1:0", "--to", `${url}//q`, "--declare", "--transient"];
    const { proxy, from } = await bridge(["--pattern", "pushpull", ...sides]);
    using _ = proxy;
    assert.equal((await run(["push", from], { stdin: "a\nb\n" })).code, 0);
    const { code, stderr } = await proxy.exit();
    assert.deepEqual([code, summaryOf(stderr)["confirmed"]], [0, 2], stderr);
  });

  requirePeer("script", installed("script"))("a terminal - shows the count and the rate", async () => {
    using broker = start(["queue", "serve", ":0", "--memory"]);
    const url = await broker.readyEndpoint();
    assert.equal((await run(["push", `${url}//a`, "--declare"], { stdin: "x\n".repeat(100) })).code, 0);
    const command = `"\${MQCAT[@]}" proxy --pattern pushpull --from ${url}//a --to ${url}//b --declare`;
    using dir = tempDir();
    using terminal = shell(
      `declare -p MQCAT >env; echo '. ./env; ${command}' >command; script -qec 'bash ./command' /dev/null`,
      { cwd: dir.path, env: { TERM: "xterm", NO_COLOR: "" } },
    );
    await terminal.waitForStdout(/mqcat: proxy: 100 forwarded, 0 on the way, \d+\/s/);
  });

  plainTest(
    "--client-id - an MQTT server keeps what is published while the bridge does not run",
    async () => {
      using dir = tempDir();
      using broker = start([
        ...["queue", "serve", ":0", "mqtt://127.0.0.1:0", "--memory"],
        ...["--ready-file", dir.file("ready")],
      ]);
      const [amqp, mqtt] = await readyFileOf(broker, dir.file("ready"));
      const sides = ["--from", `${mqtt}/sensors/%23`, "--to", `${amqp}//collected`, "--declare"];
      const publish = async (body: string) =>
        assert.equal((await run(["pub", `${mqtt}/sensors/7`, "-D", body])).code, 0);
      const first = await bridge(["--pattern", "sub-push", "--client-id", "collector", ...sides]);
      using _first = first.proxy;
      await publish("one");
      using pull = start(["pull", `${amqp}//collected`, "-f", "%s %h\\n"]);
      await pull.waitForStdout(/one/);
      first.proxy.kill("SIGKILL");
      await first.proxy.exit();
      await publish("two");
      const second = await bridge(["--pattern", "sub-push", "--client-id", "collector", ...sides]);
      using _second = second.proxy;
      await publish("three");
      await pull.waitForStdout(/three/);
      const lines = pull.text.split("\n").slice(0, -1).map((line) => line.split(" "));
      assert.deepEqual([...new Set(lines.map(([body]) => body))], ["one", "two", "three"]);
      assert.ok(lines.every(([, headers]) => headers!.includes("x-topic=sensors.7")), pull.text);
    },
  );

  plainTest("kill -9 of the bridge and of both brokers - nothing is lost", async () => {
    using dir = tempDir();
    const count = 20_000;
    const [one, two] = [await freePort(), await freePort()];
    const serve = async (port: number) => {
      const broker = start(["queue", "serve", `:${port}`, "--data", dir.file(`data-${port}`)]);
      await broker.readyEndpoint();
      return broker;
    };
    const at = (port: number) => `amqp://127.0.0.1:${port}//q`;
    const join = () =>
      start(["proxy", "--pattern", "pushpull", "--from", at(one), "--to", at(two), "--declare", "--summary"]);
    const running = new Set<Program>();
    const own = (program: Program) => {
      running.add(program);
      return program;
    };
    const kill = async (program: Program) => {
      program.kill("SIGKILL");
      await program.exit();
      running.delete(program);
    };
    try {
      let [source, sink] = [own(await serve(one)), own(await serve(two))];
      const stdin = Array.from({ length: count }, (_, i) => `${i}\n`).join("");
      assert.equal((await run(["push", at(one), "--declare"], { stdin })).code, 0);
      let proxy = own(join());
      const pull = own(start(["pull", at(two), "--declare"]));
      const reaches = (share: number) =>
        waitFor(() => pull.text.length >= stdin.length * share, PATIENCE, `${share} of the messages`);
      await reaches(0.05);
      await kill(proxy);
      proxy = own(join());
      await reaches(0.3);
      await kill(source);
      source = own(await serve(one));
      await reaches(0.5);
      await kill(sink);
      sink = own(await serve(two));
      const seen = () => new Set(pull.text.split("\n").slice(0, -1));
      await waitFor(() => seen().size === count, 2 * PATIENCE, "all messages");
      const { stderr } = await stop(proxy);
      const duplicates = pull.text.split("\n").length - 1 - count;
      console.log(`${duplicates} of ${count} messages arrived twice`);
      assert.match(stderr, /lost amqp:.*connecting again/);
      assert.match(
        (await run(["queue", "info", "q", "-q", "--url", `amqp://127.0.0.1:${one}`])).stdout.toString(),
        /ready: 0/,
      );
    } finally {
      for (const program of running) program[Symbol.dispose]();
    }
  });
});
