/**
 * The queue commands at a cluster of RabbitMQ whose nodes are killed: lines in = confirmed + reported as not delivered;
 * nothing confirmed is missing; no exit 0 with messages left; the words are true.
 */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { requirePeer, waitFor } from "../support/helpers.ts";
import { run, start, summaryOf } from "../support/mqcat.ts";
import { isInstalled } from "../support/rabbitmq.ts";
import { type NodeName, RabbitMqCluster } from "../support/rabbitmq_cluster.ts";

/** The time limit of one test, in milliseconds. Nodes start slowly on a loaded machine. */
const LIMIT_MS = 300_000;
const peerTest = requirePeer("rabbitmq-server", isInstalled, LIMIT_MS);

let cluster: RabbitMqCluster;

/** A test at the cluster, which the first one starts: hooks have a short time limit on Bun. */
function test(name: string, body: () => Promise<void>): void {
  peerTest(name, async () => {
    cluster ??= await RabbitMqCluster.start();
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
  after(() => cluster?.[Symbol.asyncDispose]());

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
    await becomes(/^1 critical: queue 'local': away for now: its node 'mqcat_b/m, "local");
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
    await cluster.restart("b");
    await becomes(/^0 ok: RabbitMQ 3/m);
  });

  test("a quorum queue whose leader is killed - get and move end when it is empty, not while it has no leader", async () => {
    for (const queue of ["jobs", "from"]) {
      await declare(queue, "b", "quorum");
      const put = await run(["queue", "put", queue, ...at("b")], { stdin: lines(0, 600) });
      assert.equal(put.code, 0, put.stderr);
    }
    await declare("to", "c", "quorum");
    using get = start(["queue", "get", "jobs", "--drain", "--exec", "cat", ...at("a")]);
    using move = start(["queue", "move", "from", "to", "--prefetch", "2", ...at("a")]);
    await get.until(() => get.text.split("\n").length > 50 || undefined, "50 messages");
    await cluster.kill("b");
    const [got, moved] = [await get.exit(LIMIT_MS), await move.exit(LIMIT_MS)];
    assert.deepEqual([got.code, moved.code], [0, 0], got.stderr + moved.stderr);
    assertComplete(got.stdout.toString(), 600);
    const copies = await run(["queue", "get", "to", "--drain", ...at("a")]);
    assertComplete(copies.stdout.toString(), 600);
    for (const queue of ["jobs", "from"]) {
      const rest = await run(["queue", "get", queue, "--drain", ...at("a")]);
      assert.deepEqual([rest.code, rest.stdout.toString()], [0, ""]);
    }
  });

  test("a quorum queue without a majority - redrive does not say that it is empty", async () => {
    await declare("dead", "c", "quorum");
    const put = await run(["queue", "put", "dead", ...at("c")], { stdin: lines(0, 100) });
    assert.equal(put.code, 0, put.stderr);
    await cluster.kill("c");
    const { code, stderr } = await run(["queue", "redrive", "dead", "-w", "2s", ...at("a")]);
    assert.equal(code, 3, stderr);
    assert.doesNotMatch(stderr, /empty/);
    const env = { AMQP_HTTP_URL: cluster.http("a") };
    const check = await run(["queue", "check", "dead", ...at("a")], { env });
    assert.match(
      check.stdout.toString(),
      /^critical: queue 'dead': (only 1 of its 3 nodes is up|away for now)/,
    );
  });
});
