import assert from "node:assert/strict";
import { requirePeer } from "../../support/helpers.ts";
import { Proxy } from "../../support/rabbitmq.ts";
import { type Program, summaryOf } from "../../support/mqcat.ts";
import { lines } from "../queue/context.ts";
import type { RpcContext } from "./context.ts";
import { fibServer, hasPika } from "./pika.ts";

const pika = requirePeer("pika", hasPika);

/** `req`: a server of RabbitMQ's tutorial, order, timeouts, missing queues, reconnects. */
export function requests({ test, broker, client, mqcat, start, declare, ready }: RpcContext): void {
  pika("req - asks the RPC server of RabbitMQ's tutorial, and prints the replies in order", async () => {
    const { url } = await broker();
    using _server = await fibServer(url, "fib");
    const one = await mqcat(["req", `${url}//fib`, "-D", "10", "-w", "20s"]);
    assert.deepEqual([one.code, one.stdout.toString(), one.stderr], [0, "55\n", ""]);
    const several = await mqcat(["req", "amqp:fib", "-j", "4", "--summary"], {
      stdin: "18\n1\n12\n3\n0\n5\n",
    });
    assert.deepEqual([several.code, several.stdout.toString()], [0, "2584\n1\n144\n2\n0\n5\n"]);
    const { sent, received, unsent, bytes } = summaryOf(several.stderr);
    assert.deepEqual({ sent, received, unsent, bytes }, { sent: 6, received: 6, unsent: 0, bytes: 11 });
  });

  test("req -j 100 - 1000 requests to two workers have their replies in order", async () => {
    const address = await declare("many");
    const workers = [await start(["rep", address, "--echo"]), await start(["rep", address, "--echo"])];
    try {
      const { code, stdout, stderr } = await mqcat(["req", address, "-j", "100"], { stdin: lines(1000) });
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(stdout.toString(), lines(1000));
    } finally {
      await end(workers);
    }
    assert.equal(await ready("many"), 0);
  });

  test("req -w - gives up with exit code 3; with --relaxed it goes on, and ends with 5", async () => {
    const address = await declare("silent");
    const none = await mqcat(["req", address, "-D", "x", "-w", "2s"]);
    assert.deepEqual([none.code, none.stdout.length], [3, 0]);
    assert.equal(
      none.stderr,
      "mqcat: req: 1 message had no reply\nmqcat: req: no reply arrived within 2 s (-w)\n",
    );
    await (await client()).purgeQueue("silent");
    const script = 'read line; [ "$line" = never ] && exec sleep 60; echo "$line"';
    using rep = await start(["rep", address, "--exec", script, "-j", "3"]);
    const some = await mqcat(["req", address, "-j", "3", "-w", "5s", "--relaxed"], {
      stdin: "a\nnever\nb\n",
    });
    assert.deepEqual([some.code, some.stdout.toString()], [5, "a\nb\n"]);
    assert.match(
      some.stderr,
      /no reply arrived within 5 s \(-w\): going on .*\n.*: 1 message had no reply\n$/,
    );
    rep.kill("SIGKILL");
  });

  test("req, rep - at a missing queue or exchange end with 1 and its name, and create nothing", async () => {
    const { url } = await broker();
    const cases: [args: string[], missing: string][] = [
      [["req", `${url}//nosuch`, "-D", "x"], "there is no queue 'nosuch'"],
      [["rep", `${url}//nosuch`, "--echo"], "there is no queue 'nosuch'"],
      [["req", url, "--exchange", "nosuch", "-D", "x"], "there is no exchange 'nosuch'"],
      [["req", url, "--exchange", "amq.direct", "-t", "nosuch", "-D", "x"], "no queue is bound to exchange"],
    ];
    await Promise.all(cases.map(async ([args, missing]) => {
      const { code, stdout, stderr } = await mqcat(args);
      assert.deepEqual([code, stdout.length], [1, 0], stderr);
      assert.ok(stderr.includes(missing), stderr);
    }));
    assert.equal(await ready("nosuch"), undefined);
    const nameless = await mqcat(["req", url, "-D", "x"]);
    assert.deepEqual(
      [nameless.code, /amqp:\/\/host\/\/jobs/.test(nameless.stderr)],
      [2, true],
      nameless.stderr,
    );
  });

  test("req - ends with 1 when its queue is deleted", async () => {
    const address = await declare("deleted");
    using rep = await start(["rep", address, "--echo", "-n", "1"]);
    using req = await start(["req", address], { stdin: "one\n", open: true });
    await req.waitForStdout(/one/);
    await rep.exit();
    await (await client()).deleteQueue("deleted");
    req.write("two\n");
    const { code, stderr } = await req.exit();
    assert.equal(code, 1);
    assert.match(stderr, /1 message had no reply\n.*there is no queue 'deleted': a request came back/);
    assert.equal(await ready("deleted"), undefined);
  });

  test("req --exchange - reaches the queue that is bound to the exchange", async () => {
    const address = await declare("bound");
    const { url } = await broker();
    await (await client()).bindQueue("bound", "amq.topic", "rpc.#");
    using rep = await start(["rep", address, "--exec", 'echo "$MQCAT_TOPIC"', "-n", "1"]);
    const asked = await mqcat(["req", url, "--exchange", "amq.topic", "-t", "rpc.x", "-D", "?"]);
    assert.deepEqual([asked.code, asked.stdout.toString()], [0, "rpc.x\n"], asked.stderr);
    await rep.exit();
  });

  test("req, rep - every request is answered although the connections are lost meanwhile", async () => {
    await declare("lost");
    await using proxy = await Proxy.to((await broker()).port);
    const address = `${proxy.url}//lost`;
    const workers = [await start(["rep", address, "--echo"]), await start(["rep", address, "--echo"])];
    try {
      using req = await start(["req", address, "-j", "10", "--rate", "200"], { stdin: lines(600) });
      for (const line of [100, 300]) {
        await req.waitForStdout(new RegExp(`^line ${line}$`, "m"));
        proxy.cut();
      }
      const { code, stdout, stderr } = await req.exit();
      assert.deepEqual([code, stdout.toString()], [0, lines(600)], stderr);
      assert.match(stderr, /connecting again/);
    } finally {
      await end(workers);
    }
  });

  test("req -J - takes and prints headers and properties", async () => {
    const address = await declare("records");
    using rep = await start(["rep", address, "--echo", "-n", "2"]);
    const record = {
      body: "x",
      headers: { a: 1, CC: ["other"] },
      properties: { content_type: "text/plain" },
    };
    const { code, stdout, stderr } = await mqcat(["req", address, "-J"], {
      stdin: `${JSON.stringify(record)}\n{"body_base64":"/w=="}\n`,
    });
    assert.equal(code, 0, stderr);
    const [first, second] = stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(first.headers, { a: 1 }, "without the header that copies it to other queues");
    assert.equal(first.properties.content_type, "text/plain");
    assert.deepEqual([first.body, second.body_base64], ["x", "/w=="]);
    assert.equal((await rep.exit()).code, 0);
  });

  test("req, rep - refuse options that a broker cannot obey", async () => {
    const { url } = await broker();
    const address = `${url}//any`;
    const cases: [args: string[], reason: RegExp][] = [
      [["req", address, "--wait-peers", "1"], /--wait-peers is for ZeroMQ/],
      [["req", address, "-P", "reply_to=x"], /reply_to.*sets this property itself/],
      [["req", address, "-P", "nonsense=x"], /nonsense/],
      [["req", address, "-t", "x"], /-t is the routing key for --exchange/],
      [["req", address, "--exchange", "x"], /choose one/],
      [["rep", address, "--echo", "--exec", "cat"], /choose one/],
      [["rep", address, ":5555", "--echo"], /one address/],
      [["req", ":5555", "-j", "2"], /-j is for brokers/],
      [["rep", ":5555", "--echo", "--on-error", "reject"], /--on-error is for/],
    ];
    await Promise.all(cases.map(async ([args, reason]) => {
      const { code, stderr } = await mqcat(args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, reason);
    }));
  });
}

/** Ends workers by a signal. They must have printed nothing but lost connections. */
async function end(workers: readonly Program[]): Promise<void> {
  for (const worker of workers) worker.kill("SIGTERM");
  for (const worker of workers) assert.equal((await worker.exit()).code, 143, worker.stderr);
}
