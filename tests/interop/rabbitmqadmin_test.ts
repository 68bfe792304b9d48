/** RabbitMQ's command line tool for its HTTP API, with our broker. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs";
import { after, before, describe } from "node:test";
import { Broker } from "../../lib/broker/server.ts";
import { HttpServer } from "../../lib/broker/http/server.ts";
import { requirePeer, tempDir } from "../support/helpers.ts";

const test = requirePeer("rabbitmqadmin");

let broker: Broker;
let server: HttpServer;

before(async () => {
  broker = await Broker.open();
  broker.users.put("jane", "s3cret", ["administrator"]);
  broker.users.permit("jane", "/", { configure: ".*", write: ".*", read: ".*" });
  server = await HttpServer.listen(broker, ":0");
});

after(async () => {
  await server.close();
  await broker.close();
});

/** Runs rabbitmqadmin. @returns its output */
function admin(...args: string[]): Promise<string> {
  const { hostname, port } = new URL(server.url);
  const login = ["--host", hostname, "--port", port, "--username", "jane", "--password", "s3cret"];
  return new Promise((resolve, reject) => {
    execFile("rabbitmqadmin", [...login, ...args], { timeout: 20_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`rabbitmqadmin ${args.join(" ")}: ${stdout}${stderr}`));
    });
  });
}

/** Runs `list` or `get`. @returns the rows without the heading */
async function table(...args: string[]): Promise<string[][]> {
  const lines = (await admin("--format", "tsv", ...args)).trimEnd().split("\n");
  return lines.slice(1).map((line) => line.split("\t"));
}

describe("rabbitmqadmin", () => {
  test("rabbitmqadmin - declare, list, publish, get, purge, delete", async () => {
    assert.equal(
      await admin("declare", "queue", "name=jobs", 'arguments={"x-max-length":10}'),
      "queue declared\n",
    );
    assert.equal(await admin("declare", "exchange", "name=x", "type=topic"), "exchange declared\n");
    assert.equal(
      await admin("declare", "binding", "source=x", "destination=jobs", "routing_key=a.#"),
      "binding declared\n",
    );
    assert.equal(
      await admin("publish", "exchange=x", "routing_key=a.b", "payload=hello"),
      "Message published\n",
    );
    assert.match(await admin("publish", "exchange=x", "routing_key=b", "payload=lost"), /NOT routed/);
    await admin("publish", "routing_key=jobs", "payload=again");
    assert.deepEqual(await table("list", "queues", "name", "messages"), [["jobs", "2"]]);
    assert.deepEqual(await table("list", "bindings"), [["", "jobs", "jobs"], ["x", "jobs", "a.#"]]);
    const got = await table("get", "queue=jobs", "ackmode=ack_requeue_false");
    assert.ok(got[0]!.includes("hello") && got[0]!.includes("a.b"), got.join());
    assert.equal(await admin("purge", "queue", "name=jobs"), "queue purged\n");
    assert.deepEqual(await table("list", "queues", "name", "messages"), [["jobs", "0"]]);
    assert.equal(
      await admin(
        "delete",
        "binding",
        "source=x",
        "destination_type=queue",
        "destination=jobs",
        "properties_key=a.%23",
      ),
      "binding deleted\n",
    );
    assert.equal(await admin("delete", "exchange", "name=x"), "exchange deleted\n");
    assert.equal(await admin("delete", "queue", "name=jobs"), "queue deleted\n");
    await assert.rejects(admin("delete", "queue", "name=jobs"), /Not found/);
    await assert.rejects(admin("declare", "queue", "name=amq.jobs"), /Access refused/);
  });

  test("list - supports all kinds of objects", async () => {
    const lists = [
      "connections",
      "channels",
      "consumers",
      "exchanges",
      "users",
      "vhosts",
      "permissions",
      "nodes",
    ];
    const empty = ["parameters", "policies", "operator_policies", "vhost_limits"];
    await Promise.all([...lists, ...empty].map((list) => admin("list", list)));
    assert.match(await admin("show", "overview"), /mqcat@localhost/);
  });

  test("rabbitmqadmin - export and import", async () => {
    using dir = tempDir();
    await admin("declare", "vhost", "name=other");
    await admin("--vhost", "other", "declare", "queue", "name=theirs");
    await admin("export", dir.file("definitions.json"));
    await admin("delete", "vhost", "name=other");
    assert.deepEqual((await table("list", "vhosts", "name")).flat(), ["/"]);
    await admin("import", dir.file("definitions.json"));
    assert.deepEqual(await table("list", "queues", "vhost", "name"), [["other", "theirs"]]);
    assert.ok(!fs.readFileSync(dir.file("definitions.json"), "utf8").includes("s3cret"));
  });
});
