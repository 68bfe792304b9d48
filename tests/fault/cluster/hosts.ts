/**
 * Which host of a cluster serves: near the leader of a queue, the next one when a node is killed; and messages for exchanges
 * and dead letters, which wait for a queue whose node is down.
 */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { run, start, summaryOf } from "../../support/mqcat.ts";
import type { NodeName, RabbitMqCluster } from "../../support/rabbitmq_cluster.ts";

/** How long a step may take, in milliseconds. Nodes start slowly on a loaded machine. */
const LIMIT_MS = 300_000;

/** Defines the tests. @param running returns the cluster, during a test */
export function hosts(
  test: (name: string, body: () => Promise<void>) => void,
  running: () => RabbitMqCluster,
): void {
  /** The options for these hosts, in this order, and for the HTTP API of the same nodes. */
  function at(...nodes: NodeName[]): string[] {
    const http = nodes.map((node) => running().http(node)).join(",");
    return ["--url", nodes.map((node) => running().url(node)).join(","), "--http", http];
  }

  /** The address of a node in records and reports. */
  const shown = (node: NodeName) => running().url(node).replace("guest:guest@", "");

  async function well(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, 0, `${args.join(" ")}\n${stderr}`);
    return stdout.toString();
  }

  async function ask(path: string, body: object): Promise<void> {
    const { ok } = await fetch(`${running().http("a")}/api/${path}`, {
      method: "PUT",
      headers: { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.ok(ok, path);
  }

  const declare = (queue: string, node: NodeName, ...args: string[]) =>
    well("queue", "declare", queue, ...args, "--url", running().url(node));

  /** Numbered lines. */
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `${i}\n`).join("");

  test("--near-leader connects to the node of a queue; a list of HTTP APIs may begin with one that is away", async () => {
    await declare("classic", "b");
    await declare("quorum", "c", "--type", "quorum");
    const [, url, , http] = at("a", "b", "c");
    const options = ["--url", url!, "--http", `http://127.0.0.1:1,${http}`, "--near-leader"];
    for (const [queue, node] of [["classic", "b"], ["quorum", "c"]] as const) {
      const put = await run(["queue", "put", queue, ...options, "-v", "-D", "x"]);
      assert.match(put.stderr, new RegExp(`connected: ${shown(node)} `));
      assert.equal(await well("queue", "peek", queue, ...options, "-f", "%e"), shown(node));
      assert.equal(
        await well("queue", "get", queue, ...options, "--drain", "--exec", "echo $MQCAT_ENDPOINT"),
        `${shown(node)}\n`,
      );
    }
    const none = await run(["queue", "put", "quorum", ...options, "--http", "http://127.0.0.1:1", "-D", "x"]);
    assert.equal(none.code, 0, none.stderr);
    assert.match(none.stderr, /--near-leader has no effect: the HTTP API does not answer at/);
  });

  test("a queue whose limit is set by a policy is full, not away", async () => {
    const definition = { "max-length": 3, overflow: "reject-publish" };
    await ask("policies/%2F/limit", { pattern: "^limited", definition, "apply-to": "queues" });
    await declare("limited", "a", "--type", "classic");
    const { code, stderr } = await run(["queue", "put", "limited", ...at("a", "b"), "--summary"], {
      stdin: lines(10),
    });
    assert.equal(code, 5, stderr);
    assert.match(stderr, /the broker refused 7 messages: the queue is full/);
    assert.equal(summaryOf(stderr).confirmed, 3);
  });

  test("a killed node - get continues at the next host; exchanges and dead letters wait for the queue of the node", async () => {
    await ask("exchanges/%2F/orders", { type: "topic", durable: true });
    await declare("orders_home", "b");
    await declare("dead", "a", "--type", "quorum");
    await declare("work", "b", "-a", "x-dead-letter-exchange=", "-a", "x-dead-letter-routing-key=dead");
    await well("queue", "bind", "orders_home", "orders", "-t", "new", "--url", running().url("a"));
    await declare("elsewhere", "a", "--type", "quorum");
    await well("queue", "put", "work", "-D", "again", ...at("a"));
    await run(
      ["queue", "get", "work", ...at("a"), "-n", "1", "--exec", "false", "--max-attempts", "1"].concat(
        "--on-error",
        "reject",
      ),
    );
    using get = start(["queue", "get", "elsewhere", ...at("b", "a"), "-n", "2", "-f", "%e\n"]);
    await well("queue", "put", "elsewhere", "-D", "1", ...at("a"));
    await get.until(() => get.text.includes(shown("b")) || undefined, "a message from b");
    const exchange = ["--exchange", "orders", "-t", "new", "--summary", ...at("a")];
    using put = start(["queue", "put", ...exchange], { open: true, stdin: lines(10) });
    const address = `${running().url("a")}//orders`;
    const pub = ["pub", address, "--mandatory", "-t", "new", "--summary", "--http", running().http("a")];
    using publish = start(pub, { open: true, stdin: lines(10) });
    const has = async (queue: string, count: number) =>
      JSON.parse(await well("queue", "info", queue, "-J", ...at("a"))).messages_ready === count;
    await waitFor(() => has("orders_home", 20), LIMIT_MS);
    await running().kill("b");
    for (const program of [put, publish]) program.write(lines(1000));
    const away =
      /exchange 'orders' has no queue for .* 'new' for now: queue '\w+' may be bound to it, and its node '.*' is down/;
    await Promise.all([put.waitForStderr(away), publish.waitForStderr(away)]);
    using redrive = start(["queue", "redrive", "dead", ...at("a")]);
    await redrive.waitForStderr(/queue 'work' is unavailable: its node/);
    await get.waitForStderr(new RegExp(`lost ${shown("b")}: `));
    await well("queue", "put", "elsewhere", "-D", "2", ...at("a"));
    const got = await get.exit(LIMIT_MS);
    assert.deepEqual([got.code, got.stdout.toString()], [0, `${shown("b")}\n${shown("a")}\n`], got.stderr);
    assert.match(await well("queue", "list", ...at("b", "a")), /^elsewhere /m);
    await running().restart("b");
    for (const program of [put, publish]) program.end();
    for (const program of [put, publish, redrive]) {
      const { code, stderr } = await program.exit(LIMIT_MS);
      assert.equal(code, 0, stderr);
    }
    // Messages that the killed node had not written to its disk are lost by RabbitMQ only if it had not confirmed them.
    const home = (await well("queue", "get", "orders_home", "--drain", ...at("a"))).trimEnd().split("\n");
    assert.ok(home.length >= 2020, `${home.length} lines`);
    // It may be there twice: its confirm was lost with the node.
    assert.match(await well("queue", "get", "work", "--drain", ...at("a")), /^(again\n)+$/);
  });
}
