/**
 * The queue commands at a cluster of RabbitMQ with faults: lines in = confirmed + reported as not delivered; nothing confirmed
 * is missing; no exit 0 with messages left; the words are true; an end within `-w`. The table is in `cluster/`.
 */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { requirePeer, waitFor } from "../support/helpers.ts";
import { run, start, summaryOf } from "../support/mqcat.ts";
import { isInstalled } from "../support/rabbitmq.ts";
import { type NodeName, RabbitMqCluster } from "../support/rabbitmq_cluster.ts";
import { Auditor } from "./cluster/auditor.ts";
import { FAULTS } from "./cluster/faults.ts";
import { inject } from "./cluster/round.ts";

/** The time limit of one test, in milliseconds. Nodes start slowly on a loaded machine. */
const LIMIT_MS = 300_000;
const peerTest = requirePeer("rabbitmq-server", isInstalled, LIMIT_MS);

let cluster: RabbitMqCluster;
let auditor: Auditor;

/** A test at the cluster, which the first one starts: hooks have a short time limit on Bun. */
function test(name: string, body: () => Promise<void>): void {
  peerTest(name, async () => {
    if (cluster === undefined) {
      cluster = await RabbitMqCluster.start();
      auditor = new Auditor(cluster);
      await auditor.mirror();
    }
    await body();
  });
}

const at = (node: NodeName) => ["--url", cluster.url(node)];

/** Declares a queue whose node or leader is the given one. */
async function declare(queue: string, node: NodeName, type: "classic" | "quorum"): Promise<void> {
  const { code, stderr } = await run(["queue", "declare", queue, "--type", type, ...at(node)]);
  assert.equal(code, 0, stderr);
}

/** Whether a queue has this number of ready messages. */
async function has(queue: string, count: number): Promise<boolean> {
  const { stdout } = await run(["queue", "info", queue, "-J", ...at("a")]);
  return stdout.length > 0 && JSON.parse(stdout.toString()).messages_ready === count;
}

/** Numbered lines. */
function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => `${from + i}\n`).join("");
}

/** Asserts that a text has all numbers below `count`, some of them perhaps twice. */
function assertComplete(text: string, count: number): void {
  const came = new Set(text.trimEnd().split("\n"));
  const missing = Array.from({ length: count }, (_, i) => String(i)).filter((line) => !came.has(line));
  assert.deepEqual([missing.length, missing.slice(0, 5)], [0, []]);
}

describe("cluster", () => {
  after(async () => {
    await auditor?.close();
    await cluster?.[Symbol.asyncDispose]();
  });

  test("a classic queue whose node is killed - put keeps its messages, and no command says that there is no queue", async () => {
    for (const queue of ["home", "late"]) await declare(queue, "b", "classic");
    using put = start(["queue", "put", "home", ...at("a")], { open: true, stdin: lines(0, 2000) });
    const args = ["queue", "put", "late", "--linger", "1s", "--summary", ...at("c")];
    using late = start(args, { open: true, stdin: lines(0, 2000) });
    for (const queue of ["home", "late"]) await waitFor(() => has(queue, 2000), LIMIT_MS);
    await cluster.kill("b");
    put.write(lines(2000, 20_000));
    late.write(lines(2000, 2500));
    late.end();
    await put.waitForStderr(/queue 'home' is away for now: its node 'mqcat_b_\d+@localhost' is down/);
    const [info, get, redrive, none] = await Promise.all([
      run(["queue", "info", "home", ...at("a")]),
      run(["queue", "get", "home", "--drain", "-w", "1s", ...at("c")]),
      run(["queue", "redrive", "home", "-w", "1s", ...at("c")]),
      run(["queue", "put", "none", ...at("a")], { stdin: "1\n" }),
    ]);
    assert.deepEqual([info.code, get.code, redrive.code, none.code], [4, 3, 3, 1]);
    for (const { stderr } of [info, get, redrive]) assert.match(stderr, /queue 'home' is away for now/);
    assert.match(none.stderr, /there is no queue 'none'/);
    const given = await late.exit(LIMIT_MS);
    assert.equal(given.code, 5, given.stderr);
    assert.match(given.stderr, /\d+ messages were not confirmed \(queue 'late' is away for now: its node/);
    const { confirmed, unsent } = summaryOf(given.stderr);
    assert.equal(confirmed! + unsent!, 2500);
    assert.equal(put.code, undefined);
    await cluster.restart("b");
    put.end();
    const { code, stderr } = await put.exit(LIMIT_MS);
    assert.equal(code, 0, stderr);
    const drained = await run(["queue", "get", "home", "--drain", ...at("c")]);
    assert.equal(drained.code, 0, drained.stderr);
    assertComplete(drained.stdout.toString(), 20_000);
    const rest = await run(["queue", "get", "late", "--drain", ...at("a")]);
    assert.equal(rest.code, 0, rest.stderr);
    assertComplete(rest.stdout.toString(), confirmed!);
  });

  for (const fault of FAULTS) {
    test(`${fault.name} - every command at every type of queue: nothing is lost, and the words are true`, async () => {
      console.log(await inject(fault, cluster, auditor));
    });
  }
});
