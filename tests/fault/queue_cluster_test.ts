/**
 * The queue commands at a cluster of RabbitMQ with faults: lines in = confirmed + reported as not delivered; nothing confirmed
 * is missing; no exit 0 with messages left; the words are true; an end within `-w`. The table is in `cluster/`.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { after, describe } from "node:test";
import { requirePeer, waitFor } from "../support/helpers.ts";
import { run, start, summaryOf } from "../support/mqcat.ts";
import { isInstalled } from "../support/rabbitmq.ts";
import { type NodeName, RabbitMqCluster } from "../support/rabbitmq_cluster.ts";
import { turnOf } from "../support/turn.ts";
import { Auditor } from "./cluster/auditor.ts";
import { type Fault, FAULTS } from "./cluster/faults.ts";
import { hosts } from "./cluster/hosts.ts";
import { inject } from "./cluster/round.ts";

/** The time limit of one test, in milliseconds. Nodes start slowly on a loaded machine. */
const LIMIT_MS = 300_000;
const { MQCAT_FAULTS } = process.env;
/** The faults to try: those that MQCAT_FAULTS names or `all`. All take six minutes, so each commit tries one of them otherwise. */
const WANTED = MQCAT_FAULTS === undefined
  ? turnOf(FAULTS, FAULTS.length)
  : MQCAT_FAULTS === "all"
  ? FAULTS
  : MQCAT_FAULTS.split(",").map(faultOf);

function faultOf(name: string): Fault {
  const found = FAULTS.find((fault) => fault.name === name);
  assert.ok(found, `MQCAT_FAULTS: there is no fault '${name}'`);
  return found;
}
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
    try {
      await body();
    } catch (error) {
      // The other tests need all nodes.
      await cluster.mend().catch((reason) => console.error(reason));
      throw error;
    }
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
    await put.waitForStderr(/queue 'home' is unavailable: its node 'mqcat_b_\d+@localhost' is down/);
    const [info, get, redrive, none] = await Promise.all([
      run(["queue", "info", "home", ...at("a")]),
      run(["queue", "get", "home", "--drain", "-w", "5s", ...at("c")]),
      run(["queue", "redrive", "home", "-w", "5s", ...at("c")]),
      run(["queue", "put", "none", ...at("a")], { stdin: "1\n" }),
    ]);
    assert.deepEqual([info.code, get.code, redrive.code, none.code], [4, 3, 3, 1]);
    for (const { stderr } of [info, get, redrive]) assert.match(stderr, /queue 'home' is unavailable/);
    assert.match(none.stderr, /there is no queue 'none'/);
    const given = await late.exit(LIMIT_MS);
    assert.equal(given.code, 5, given.stderr);
    assert.match(given.stderr, /\d+ messages were not confirmed \(queue 'late' is unavailable: its node/);
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

  test("check and move --follow while a node is killed - the words are true, and no message is lost", async () => {
    const env = { AMQP_HTTP_URL: cluster.http("a") };
    const check = async (...args: string[]) => {
      const { code, stdout } = await run(["queue", "check", ...args, ...at("a")], { env });
      return `${code} ${stdout}`;
    };
    const becomes = async (words: RegExp, ...args: string[]) => {
      let said = "";
      await waitFor(async () => words.test(said = await check(...args)), LIMIT_MS / 4, `${words}`).catch(
        (error) => {
          throw new Error(`${error.message}: ${said}`);
        },
      );
    };
    for (const queue of ["outbox", "archive"]) await declare(queue, "b", "quorum");
    await declare("local", "b", "classic");
    await becomes(/^0 ok: queue 'outbox': 0 ready, 0 consumers, 3 of 3 nodes$/m, "outbox");
    await becomes(/^0 ok: RabbitMQ 3.*: 3 nodes, \d+ queues$/m);
    // Both ends are connected to the node that is killed, and then to another one.
    const hosts = `${cluster.url("b")},${cluster.url("c")}`;
    using move = start(["queue", "move", "outbox", "archive", "--follow", "--summary", "--url", hosts]);
    using put = start(["queue", "put", "outbox", ...at("a")], { open: true, stdin: lines(0, 2000) });
    await waitFor(() => has("archive", 2000), LIMIT_MS);
    put.write(lines(2000, 6000));
    await cluster.kill("b");
    put.write(lines(6000, 10_000));
    put.end();
    assert.equal((await put.exit(LIMIT_MS)).code, 0);
    await becomes(/^1 warning: queue 'archive': 2 of its 3 nodes are up: it needs all of them$/m, "archive");
    await becomes(/^1 critical: queue 'local': unavailable: its node 'mqcat_b/m, "local");
    await becomes(
      /^1 critical: RabbitMQ 3.*'local'.* not available; node 'mqcat_b_\d+@localhost' is down; queue/m,
    );
    await becomes(
      /^1 MQCAT WARNING - queue 'archive': .* \| .*members=3 members_online=2$/m,
      "archive",
      "--output",
      "nagios",
    );
    await waitFor(async () => await has("outbox", 0) && !await has("archive", 2000), LIMIT_MS);
    assert.equal(move.code, undefined, move.stderr);
    move.kill("SIGTERM");
    const { code, stderr } = await move.exit(LIMIT_MS);
    assert.equal(code, 143, stderr);
    const moved = await run(["queue", "get", "archive", "--drain", "--summary", ...at("a")]);
    assertComplete(moved.stdout.toString(), 10_000);
    const { received } = summaryOf(moved.stderr);
    const { resent, redelivered } = summaryOf(stderr);
    const twice = received! - 10_000;
    console.log(`10000 messages moved, ${twice} of them twice; ${resent} resent, ${redelivered} redelivered`);
    assert.ok(
      twice <= resent! + redelivered!,
      `${twice} duplicates, ${resent} resent, ${redelivered} redelivered`,
    );
    await cluster.kill("c");
    await becomes(
      /^1 critical: queue 'archive': only 1 of its 3 nodes is up, which is no majority$/m,
      "archive",
    );
    for (const node of ["b", "c"] as const) await cluster.restart(node);
    await becomes(/^0 ok: RabbitMQ 3/m);
  });

  for (const fault of WANTED) {
    test(`${fault.name} - every command at every type of queue: nothing is lost, and the words are true`, async () => {
      console.log(await inject(fault, cluster, auditor));
    });
  }

  // Last, because the words of `queue check` above name the first queues that are not available.
  hosts(test, () => cluster);
});
