/** Several hosts: the next one is used when one is away, and records name the one that serves. */
import assert from "node:assert/strict";
import { run } from "../../support/mqcat.ts";
import { freePort } from "../../support/ports.ts";
import { type QueueContext } from "./context.ts";

export function hosts({ broker, queue, test, well }: QueueContext): void {
  test("hosts - one that is away is skipped; records, templates and --exec name the one that serves", async () => {
    const { url, http } = await broker();
    const { host } = new URL(url);
    const away = await freePort();
    const list = url.replace(host, `127.0.0.1:${away},${host}`);
    const options = ["--url", list, "--http", `http://127.0.0.1:${away},${http}`];
    await well(["put", "--declare", "hosts", ...options, "--shuffle"], "1\n2\n3\n4\n");
    const get = ["get", "hosts", ...options, "-n", "1"];
    assert.equal(await well([...get, "-f", "%e\n"]), `amqp://${host}\n`);
    assert.match(await well([...get, "-J"]), new RegExp(`"endpoint":"amqp://${host}"`));
    assert.equal(await well([...get, "--exec", "echo $MQCAT_ENDPOINT"]), `amqp://${host}\n`);
    const peek = await queue(["peek", "hosts", ...options, "-J", "-n", "1"]);
    assert.match(peek.stdout.toString(), new RegExp(`"endpoint":"amqp://${host}"`), peek.stderr);
    assert.match(await well(["list", ...options]), /^hosts /m);
    assert.match(await well(["info", "hosts", ...options]), /^name: hosts$/m);
  });

  test("hosts - if all are away, the error has the reason of each, and no password", async () => {
    const [one, two] = [await freePort(), await freePort()];
    const url = `amqp://me:s3cret@127.0.0.1:${one},127.0.0.1:${two}`;
    const put = await queue(["put", "jobs", "--url", url, "-D", "x"]);
    const list = await queue(["list", "--url", url, "--http", "http:/me:s3cret@one"]);
    const api = `http://me:s3cret@127.0.0.1:${one},127.0.0.1:${two}`;
    const asked = await queue(["list", "--url", url, "--http", api]);
    assert.deepEqual([put.code, list.code, asked.code], [4, 2, 4]);
    assert.match(put.stderr, new RegExp(`:${one}: connection refused.*; cannot connect to .*:${two}: conn`));
    assert.match(
      asked.stderr,
      new RegExp(`does not answer at http://127.0.0.1:${one} \\(.*, http://.*:${two} `),
    );
    for (const { stderr } of [put, list, asked]) assert.doesNotMatch(stderr, /s3cret/);
  });

  test("hosts - --near-leader and --http are for AMQP, --shuffle for brokers", async () => {
    const mqtt = await run(["sub", "mqtt://127.0.0.1:1/t", "--near-leader"]);
    const topic = await run(["push", "mqtt://127.0.0.1:1/t", "--near-leader"]);
    const zmq = await run(["push", "tcp://127.0.0.1:1", "--shuffle"]);
    assert.deepEqual([mqtt.code, topic.code, zmq.code], [2, 2, 2]);
    assert.match(topic.stderr, /--near-leader is for AMQP, not for MQTT/);
    assert.match(zmq.stderr, /--shuffle is for AMQP, MQTT, STOMP, not for ZeroMQ/);
  });
}
