/** req and rep over STOMP: our broker and RabbitMQ. The other ends are pika and stomp.py, and mqcat over AMQP. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { after, describe } from "node:test";
import { Broker } from "../../lib/broker/server.ts";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { PATIENCE, Program, run, start } from "../support/mqcat.ts";
import { Proxy, rabbitMq, stopRabbitMq, test as withRabbitMq } from "../support/rabbitmq.ts";
import { lines } from "./queue/context.ts";
import { fibServer, rpcClient } from "./rpc/pika.ts";

const PYTHON = "/usr/bin/python3";
const hasPeers = spawnSync(PYTHON, ["-c", "import pika, stomp"], { stdio: "ignore" }).status === 0;

/** A client with a temporary queue: it sends lines as requests, and prints the replies. */
const CLIENT = `
import sys, threading, stomp
host, port, queue = sys.argv[1:]
class Listener(stomp.ConnectionListener):
    def on_message(self, frame):
        print(frame.headers["correlation-id"], frame.body, flush=True)
        arrived.release()
arrived = threading.Semaphore(0)
connection = stomp.Connection12([(host, int(port))], vhost="/")
connection.set_listener("", Listener())
connection.connect("guest", "guest", wait=True)
for number, line in enumerate(sys.stdin):
    connection.send("/queue/" + queue, line.rstrip("\\n"),
        headers={"reply-to": "/temp-queue/answers", "correlation-id": str(number)})
    if not arrived.acquire(timeout=20): sys.exit("no reply")
connection.disconnect()
`;

let own: Promise<{ readonly broker: Broker; readonly amqp: string; readonly stomp: string }> | undefined;

const KINDS = [
  {
    name: "mqcat",
    test: requirePeer("stomp.py", hasPeers, 3 * PATIENCE),
    async open(): Promise<{ readonly amqp: string; readonly stomp: string }> {
      own ??= (async () => {
        const broker = await Broker.open();
        const amqp = (await broker.listen("amqp://127.0.0.1:0")).replace("//", "//guest:guest@");
        return { broker, amqp, stomp: await broker.listen("stomp://127.0.0.1:0") };
      })();
      return await own;
    },
    async stop() {
      await (await own)?.broker.close();
      own = undefined;
    },
  },
  {
    name: "RabbitMQ",
    test: withRabbitMq,
    async open() {
      const { url, stomp } = await rabbitMq();
      return { amqp: url, stomp: stomp! };
    },
    stop: stopRabbitMq,
  },
];

for (const { name, test, open, stop } of KINDS) {
  // RabbitMQ starts slowly.

  describe(`rpc on STOMP, ${name}`, () => {
    after(stop);
    let last = 0;
    const fresh = () => `mqcat-rpc-${process.pid}-${++last}`;
    const at = async (queue: string) => `${(await open()).stomp}/queue/${queue}`;
    /** Starts `rep`, and waits until it is subscribed. */
    const serve = async (address: string, ...args: string[]) => {
      using dir = tempDir();
      const rep = start(["rep", address, "--declare", ...args, "--ready-file", dir.file("ready")]);
      await rep.readyEndpoint();
      return rep;
    };

    test("req - asks the pika server of RabbitMQ's tutorial, and prints the replies in order", async () => {
      const queue = fresh();
      using _server = await fibServer((await open()).amqp, queue);
      const { code, stdout, stderr } = await run(["req", await at(queue), "-j", "4", "-w", "20s"], {
        stdin: "18\n1\n12\n0\n",
      });
      assert.deepEqual([code, stdout.toString(), stderr], [0, "2584\n1\n144\n0\n", ""]);
    });

    test("rep - answers pika with a queue and with direct reply-to, and stomp.py with a temporary queue", async () => {
      const queue = fresh();
      const { amqp, stomp } = await open();
      using rep = await serve(await at(queue), "--exec", "tr a-z A-Z", "-n", "4");
      for (const direct of [false, true]) {
        using client = rpcClient(amqp, queue, direct, "pika\n");
        const { code, stdout, stderr } = await client.exit();
        assert.deepEqual([code, stdout.toString()], [0, "PIKA \n"], stderr);
      }
      const { hostname, port } = new URL(stomp);
      using client = new Program([PYTHON, "-c", CLIENT, hostname, port, queue], { stdin: "one\ntwo\n" });
      const { code, stdout, stderr } = await client.exit();
      assert.deepEqual([code, stdout.toString()], [0, "0 ONE\n1 TWO\n"], stderr);
      assert.deepEqual([(await rep.exit()).code, rep.stderr], [0, ""]);
    });

    test("req - 500 requests to workers over STOMP and AMQP, and the replies are in order", async () => {
      const queue = fresh();
      const { amqp } = await open();
      using one = await serve(await at(queue), "--echo");
      using two = await serve(`${amqp}//${queue}`, "--echo");
      const { code, stdout, stderr } = await run(["req", await at(queue), "-j", "50"], { stdin: lines(500) });
      assert.deepEqual([code, stderr, stdout.toString()], [0, "", lines(500)]);
      for (const rep of [one, two]) {
        rep.kill("SIGTERM");
        assert.deepEqual([(await rep.exit()).code, rep.stderr], [143, ""]);
      }
    });

    test("req, rep - end with 1 and the name of a missing queue", async () => {
      const queue = fresh();
      for (const args of [["req", await at(queue), "-D", "x"], ["rep", await at(queue), "--echo"]]) {
        const { code, stdout, stderr } = await run(args);
        assert.deepEqual([code, stdout.length], [1, 0], stderr);
        assert.ok(stderr.includes(`there is no queue '${queue}'`), stderr);
      }
    });

    test("req - every request is answered although its connection is lost meanwhile", async () => {
      const queue = fresh();
      using rep = await serve(await at(queue), "--echo");
      await using proxy = await Proxy.to(Number(new URL((await open()).stomp).port));
      const address = `stomp://127.0.0.1:${new URL(proxy.url).port}/queue/${queue}`;
      using req = start(["req", address, "-j", "10", "--rate", "200"], { stdin: lines(500) });
      for (const line of [100, 300]) {
        await req.waitForStdout(new RegExp(`^line ${line}$`, "m"));
        proxy.cut();
      }
      const { code, stdout, stderr } = await req.exit();
      assert.deepEqual([code, stdout.toString()], [0, lines(500)], stderr);
      assert.match(stderr, /connecting again/);
      rep.kill("SIGKILL");
    });
  });
}
