/** pub, sub, push and pull at STOMP servers: our broker and RabbitMQ. The other end is stomp.py or pika. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { after, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "../../lib/broker/server.ts";
import { requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, type Program, run, start } from "../support/mqcat.ts";
import { pika } from "../support/pika.ts";
import { rabbitMq, stopRabbitMq, test as withRabbitMq } from "../support/rabbitmq.ts";

const PYTHON = "/usr/bin/python3";
const FAR_END = fileURLToPath(new URL("../interop/peers/stomp_far_end.py", import.meta.url));
const hasPeers = spawnSync(PYTHON, ["-c", "import pika, stomp"], { stdio: "ignore" }).status === 0;

/** The URLs of a running broker. */
interface Running {
  readonly amqp: string;
  readonly stomp: string;
}

let own: Promise<Running & { readonly broker: Broker }> | undefined;

const KINDS = [
  {
    name: "mqcat",
    test: requirePeer("stomp.py", hasPeers, 3 * PATIENCE),
    async open(): Promise<Running> {
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
    async open(): Promise<Running> {
      const { url, stomp } = await rabbitMq();
      return { amqp: url, stomp: stomp! };
    },
    stop: stopRabbitMq,
  },
];

for (const { name, test, open, stop } of KINDS) {
  // RabbitMQ starts slowly.

  describe(`patterns on STOMP, ${name}`, () => {
    after(stop);
    const at = async (destination: string) => `${(await open()).stomp}${destination}`;
    const python = async (script: string) => await pika((await open()).amqp, script);
    const well = async (args: readonly string[], stdin = "") => {
      const { code, stdout, stderr } = await run(args, { stdin });
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      return stdout.toString();
    };
    let last = 0;
    const fresh = () => `mqcat-stomp-${process.pid}-${++last}`;

    test("push - stomp.py takes what it sends, with headers; --declare creates the queue", async () => {
      const queue = fresh();
      const missing = await run(["push", await at(`/queue/${queue}`), "-D", "x"]);
      assert.match(missing.stderr, new RegExp(`there is no queue '${queue}'; --declare creates it`));
      assert.equal(missing.code, 1);
      assert.equal(await python(`print(has_queue("${queue}"))`), "False\n");
      await well(["push", await at(`/queue/${queue}`), "--declare", "-H", "kind=order"], "a\nb\n");
      const taken = (await farEnd((await open()).stomp, "take", `/queue/${queue}`, "2")).map((line) =>
        JSON.parse(line)
      );
      assert.deepEqual(
        taken.map(({ body, headers }) => [Buffer.from(body, "base64").toString(), headers.kind]),
        [
          ["a", "order"],
          ["b", "order"],
        ],
      );
      await python(`ch.queue_delete("${queue}")`);
    });

    test("pull - prints what stomp.py sent, and acknowledges it", async () => {
      const queue = fresh();
      await python(`ch.queue_declare("${queue}", durable=True)`);
      const message = { body: Buffer.from("text").toString("base64"), headers: { kind: "order" } };
      await farEnd((await open()).stomp, "send", `/queue/${queue}`, "1", `${JSON.stringify(message)}\n`);
      assert.equal(
        await well(["pull", await at(`/queue/${queue}`), "-n", "1", "-f", "%s %h\\n"]),
        "text kind=order\n",
      );
      assert.equal(await python(`print(take("${queue}", 1, 0)); ch.queue_delete("${queue}")`), "[]\n");
      const missing = await run(["pull", await at(`/queue/${fresh()}`)]);
      assert.match(missing.stderr, /there is no queue 'mqcat-stomp-.*'; --declare creates it/);
      assert.equal(missing.code, 1);
    });

    test("sub - receives what pika publishes, by pattern, and prints the topic", async () => {
      using dir = tempDir();
      using sub: Program = start([
        "sub",
        await at("/topic/order.#"),
        ...["-n", "2", "-K", " ", "--ready-file", dir.file("ready")],
      ]);
      await sub.readyEndpoint();
      await python(
        `for key in ["order.a", "other", "order.b"]: ch.basic_publish("amq.topic", key, key.encode())`,
      );
      const { code, stdout, stderr } = await sub.exit();
      assert.deepEqual([code, stdout.toString(), stderr], [0, "order.a order.a\norder.b order.b\n", ""]);
    });

    test("pub - reaches what pika has bound, by the address, by -t, and by topics of lines", async () => {
      const queue = fresh();
      await python(`
ch.queue_declare("${queue}")
ch.queue_bind("${queue}", "amq.topic", "${queue}.#")`);
      await well(["pub", await at(`/topic/${queue}.a`)], "1\n");
      await well(["pub", await at(""), "-t", `${queue}.b`], "2\n");
      await well(["pub", await at(""), "-K", " "], `${queue}.c 3\n`);
      const expected = ["a", "b", "c"].map((key, i) => `['${queue}.${key}', '${i + 1}']`);
      assert.equal(
        await python(
          `print([[key, body] for key, body, p in take("${queue}", 3)]); ch.queue_delete("${queue}")`,
        ),
        `[${expected.join(", ")}]\n`,
      );
    });

    test("a missing topic, and options of other systems are refused", async () => {
      const cases: [args: string[], words: RegExp][] = [
        [
          ["pub", await at("")],
          /the topic is missing: name it in the address, stomp:\/\/host\/topic\/NAME, or with -t/,
        ],
        [["pub", await at("/topic/a"), "-t", "b"], /names the topic 'a' already/],
        [["push", await at("")], /names no queue/],
        [["sub", await at("/queue/a")], /'\/queue\/a' is a queue/],
        [["pull", await at("/queue/a"), "--drain"], /--drain is for AMQP, not for STOMP/],
        [["pub", await at("/topic/a"), "--qos", "1"], /--qos is for MQTT, not for STOMP/],
        [["sub", await at("/topic/a"), "--prefetch", "5"], /--prefetch is not for sub over STOMP/],
      ];
      for (const [args, words] of cases) {
        const { code, stderr } = await run(args, { stdin: "x\n" });
        assert.match(stderr, words);
        assert.equal(code, 2, args.join(" "));
      }
    });
  });
}

/** Sends or takes messages with stomp.py. @returns the lines that it prints after "ready" */
async function farEnd(
  url: string,
  work: string,
  destination: string,
  count: string,
  stdin = "",
): Promise<string[]> {
  const child = spawn(PYTHON, [FAR_END, "stomp", work, new URL(url).host, destination, count]);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin.end(stdin);
  let code: number | null | undefined;
  child.on("close", (status) => code = status);
  try {
    await waitFor(() => code !== undefined, PATIENCE, "stomp.py");
  } finally {
    child.kill();
  }
  assert.equal(code, 0, stderr);
  return stdout.trim().split("\n").slice(1);
}
