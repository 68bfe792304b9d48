/** `queue put --publisher-id` with the stream plug-in of RabbitMQ; pika reads the streams back over AMQP. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { findQueue } from "../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { requirePeer, waitFor } from "../support/helpers.ts";
import { PATIENCE, run, start, summaryOf } from "../support/mqcat.ts";
import { hasPika, pika } from "../support/pika.ts";
import { isInstalled, type RabbitMq, rabbitMq, stopRabbitMq } from "../support/rabbitmq.ts";

const test = requirePeer("rabbitmq-server and pika", isInstalled && hasPika, 6 * PATIENCE);
const LINES = 20_000;

let broker: RabbitMq;

/** A test at the broker, which the first one starts: hooks have a short time limit on Bun. */
function brokerTest(name: string, body: () => Promise<void>): void {
  test(name, async () => {
    broker = await rabbitMq();
    await body();
  });
}

const at = () => ["--url", broker.url, "--http", broker.http];

async function declare(queue: string, type: string): Promise<void> {
  const { code, stderr } = await run(["queue", "declare", queue, "--type", type, "--url", broker.url]);
  assert.equal(code, 0, stderr);
}

/** The first lines of a stream, as pika reads them. */
async function read(stream: string, count: number): Promise<string[]> {
  const script = `
ch.basic_qos(prefetch_count=1000)
for method, properties, body in ch.consume("${stream}", arguments={"x-stream-offset": "first"}, inactivity_timeout=2):
    if method is None: break
    print(body.decode())
    ch.basic_ack(method.delivery_tag)
    if method.delivery_tag == ${count}: break
`;
  return (await pika(broker.url, script)).split("\n").slice(0, -1);
}

/** The number of messages in a stream. */
async function stored(stream: string): Promise<number> {
  const connection = await connectBroker(parseAmqpUrl(broker.url));
  const state = await findQueue(connection, stream);
  await connection.close();
  return state!.messageCount;
}

const lines = Array.from({ length: LINES }, (_, i) => String(i));
const input = lines.map((line) => `${line}\n`).join("");
const once = (stream: string) => ["queue", "put", stream, "--publisher-id", "me", "--summary", ...at()];

describe("put --publisher-id", () => {
  after(stopRabbitMq);

  brokerTest(
    "a run that was killed and is repeated - each line is in the stream once, in the order of the input",
    async () => {
      await declare("log", "stream");
      using first = start(once("log"), { open: true, stdin: input.slice(0, input.indexOf("\n5000\n") + 1) });
      await waitFor(async () => await stored("log") > 0, PATIENCE, "some lines to be stored");
      first.kill("SIGKILL");
      await first.exit();
      const second = await run(once("log"), { stdin: input });
      assert.equal(second.code, 0, second.stderr);
      assert.match(second.stderr, /'log' has \d+ messages of 'me': they are not put again/);
      assert.equal(summaryOf(second.stderr).confirmed, LINES);
      const third = await run([...once("log"), "-q"], { stdin: input });
      assert.equal(third.code, 0, third.stderr);
      assert.deepEqual(await read("log", LINES), lines);
    },
  );

  brokerTest("the broker is killed - each line is in the stream once", async () => {
    await declare("crash", "stream");
    using put = start(once("crash"), { open: true, stdin: input.slice(0, input.indexOf("\n5000\n") + 1) });
    await waitFor(async () => await stored("crash") > 0, PATIENCE, "some lines to be stored");
    const killed = broker.kill();
    put.write(input.slice(input.indexOf("\n5000\n") + 1));
    put.end();
    await killed;
    const { code, stderr } = await put.exit(4 * PATIENCE);
    assert.equal(code, 0, stderr);
    assert.equal(summaryOf(stderr).confirmed, LINES);
    assert.deepEqual(await read("crash", LINES), lines);
  });

  brokerTest("long and empty lines, and bodies over the limit", async () => {
    await declare("sizes", "stream");
    const bodies = ["", "x".repeat(255), "y".repeat(256), "z".repeat(100_000), ""];
    const { code, stderr } = await run(once("sizes"), { stdin: bodies.map((body) => `${body}\n`).join("") });
    assert.equal(code, 0, stderr);
    assert.deepEqual(await read("sizes", bodies.length), bodies);
    const large = await run([...once("sizes"), "--in", "blob"], { stdin: "x".repeat(2 ** 20) });
    assert.equal(large.code, 1);
    assert.match(large.stderr, /cannot publish a message of 1048576 bytes/);
  });

  brokerTest("refused - queues that are not streams, and options that have no place", async () => {
    for (const type of ["classic", "quorum"]) {
      await declare(type, type);
      const { code, stderr } = await run(once(type), { stdin: "1\n" });
      assert.deepEqual([code, stderr.includes(`'${type}' is a ${type} queue`)], [2, true], stderr);
    }
    const missing = await run(once("none"), { stdin: "1\n" });
    assert.deepEqual([missing.code, missing.stderr.includes("there is no queue 'none'")], [1, true]);
    for (const option of [["-H", "a=b"], ["-P", "priority=1"], ["-J"], ["--declare"]]) {
      const { code, stderr } = await run([...once("log"), ...option], { stdin: "{}\n" });
      assert.deepEqual([code, stderr.includes(`leave ${option[0]} out`)], [2, true], stderr);
    }
  });

  brokerTest("refused - a broker without streams", async () => {
    using serve = start(["queue", "serve", ":0", "--memory"]);
    const [, port] = await serve.waitForStderr(/listening on \S*?:(\d+)/);
    const url = ["--url", `amqp://127.0.0.1:${port}`];
    await run(["queue", "declare", "log", ...url]);
    const { code, stderr } = await run(["queue", "put", "log", "--publisher-id", "me", ...url], {
      stdin: "1\n",
    });
    assert.deepEqual([code, /this broker has no streams/.test(stderr)], [2, true], stderr);
  });
});
