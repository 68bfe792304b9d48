/** `mqcat bench`: both sides in one process, one side in each of two, a broker, signals, and comparisons. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import type { Report } from "../../cli/bench/report.ts";
import { tempDir, waitFor } from "../support/helpers.ts";
import { run, start, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

/** Runs a benchmark that succeeds, and returns its record. */
async function bench(...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await run(["bench", ...args, "-J", "-q"]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  return JSON.parse(stdout.toString());
}

describe("bench", () => {
  test("bench - req-rep measures every round trip, and compares it with an earlier run", async () => {
    using dir = tempDir();
    const before = dir.file("before");
    const report = await bench("req-rep", "-n", "300", "-s", "1k", "--clients", "2");
    assert.deepEqual([report.size, report.clients, report.variant], [1024, 2, ""]);
    assert.deepEqual([report.received!.messages, report.received!.bytes], [300, 300 * 1024]);
    const { count, min, p50, p99, max } = report.latency!;
    assert.equal(count, 300);
    assert.ok(0 < min && min <= p50 && p50 <= p99 && p99 <= max);
    assert.equal(report.histogram!.reduce((sum, [, count]) => sum + count, 0), 300);
    fs.writeFileSync(before, `${JSON.stringify(report)}\n`);
    const again = await run(["bench", "req-rep", "-n", "300", "--against", before]);
    assert.equal(again.code, 0);
    assert.match(again.stderr, /--against: size 64, before 1024; clients 1, before 2/);
    assert.match(again.stdout.toString(), /^ {2}received {3}300 messages .* msgs\/s \(x\d+\.\d\d\)/m);
    assert.match(again.stdout.toString(), /^ {2}round trip p50 .* \(x\d+\.\d\d\), p90 .* max /m);
  });

  test("bench - pub-sub at a rate, with CURVE, delivers every message to each subscriber", async () => {
    const args = ["--clients", "2", "--rate", "500/s", "-n", "200", "--curve"];
    const { sent, received, latency, variant } = await bench("pub-sub", ...args);
    assert.deepEqual([sent!.messages, received!.messages, latency!.count, variant], [200, 400, 400, "CURVE"]);
    assert.ok(sent!.rate < 600, `${sent!.rate}`);
  });

  test("bench - push-pull between two processes: the receiver ends with its senders", async () => {
    const endpoint = `tcp://127.0.0.1:${await freePort()}`;
    using receiver = start(["bench", "push-pull", "--role", "receive", endpoint, "-J", "-q"]);
    const sent = await bench("push-pull", "--role", "send", endpoint, "-n", "5000", "--clients", "2");
    assert.equal(sent.sent!.messages, 5000);
    const { code, stdout } = await receiver.exit();
    assert.equal(code, 0);
    const { received, latency, role, size } = JSON.parse(stdout.toString()) as Report;
    assert.deepEqual([received!.messages, role, size], [5000, "receive", 64]);
    // Clocks of two processes are not compared.
    assert.equal(latency, undefined);
  });

  test("bench - push-pull and pub-sub take the address of a broker, and create nothing", async () => {
    const listening = ["amqp://127.0.0.1:0", "mqtt://127.0.0.1:0", "stomp://127.0.0.1:0"];
    using broker = start(["queue", "serve", ...listening, "--memory"]);
    await waitFor(() => broker.stderr.match(/listening on/g)?.length === listening.length);
    const [amqp, mqtt, stomp] = [...broker.stderr.matchAll(/listening on (\S+)/g)].map(([, url]) => url!);
    assert.equal((await run(["queue", "declare", "q", "--url", amqp!])).code, 0);
    for (const address of [`${amqp}//q`, `${mqtt}/t`, `${stomp}/queue/q`]) {
      const { sent, confirmed, received, latency } = await bench("push-pull", address, "-n", "300");
      const counts = [sent!.messages, confirmed!.messages, received!.messages, latency!.count];
      assert.deepEqual(counts, [300, 300, 300, 300], address);
    }
    for (const [address, ...options] of [[amqp!], [mqtt!, "--qos", "2"], [stomp!]]) {
      const report = await bench("pub-sub", address!, "-n", "200", "--clients", "2", ...options);
      assert.deepEqual([report.sent!.messages, report.received!.messages], [200, 400], address);
      assert.equal(report.variant, options.length > 0 ? "QoS 2" : "");
    }
    const missing = await run(["bench", "push-pull", `${amqp}//typo`, "-n", "1"]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /there is no queue 'typo'/);
    const list = await run(["queue", "list", "--url", amqp!, "-q"]);
    assert.match(list.stdout.toString(), /^q\s/m);
    assert.doesNotMatch(list.stdout.toString(), /typo|bench/);
  });

  test("bench - a signal ends it with the report so far", async () => {
    using running = start(["bench", "push-pull", "inproc://x", "--duration", "1m", "-J"]);
    await waitFor(() => running.stderr.includes("listening on"));
    running.kill("SIGTERM");
    const { code, stdout } = await running.exit();
    assert.equal(code, 143);
    assert.equal((JSON.parse(stdout.toString()) as Report).benchmark, "push-pull");
  });

  test("bench - queue leaves no queue, and takes an existing one only if it is empty", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    using broker = start(["queue", "serve", ":0", "--memory", "--ready-file", ready]);
    await waitFor(() => fs.existsSync(ready));
    const at = ["--url", fs.readFileSync(ready, "utf8").trim()];
    const report = await bench("queue", ...at, "-n", "300", "--clients", "2", "--persistent");
    const { sent, confirmed, received, latency, confirmLatency, variant } = report;
    assert.deepEqual([sent!.messages, confirmed!.messages, received!.messages], [300, 300, 300]);
    assert.deepEqual([latency!.count, confirmLatency!.count, variant], [300, 300, "persistent"]);
    assert.doesNotMatch((await run(["queue", "list", ...at])).stdout.toString(), /mqcat/);

    assert.equal((await run(["queue", "put", "jobs", "--declare", "-D", "job", "-q", ...at])).code, 0);
    const refused = await run(["bench", "queue", "--queue", "jobs", ...at]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /queue 'jobs' has 1 messages, and the benchmark would consume them/);
    broker.kill("SIGTERM");
    await broker.exit();
  });
});
