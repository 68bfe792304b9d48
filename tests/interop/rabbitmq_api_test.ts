/** The statistics in the HTTP API have the members of RabbitMQ's, with the same types. */
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { Broker } from "../../lib/broker/server.ts";
import { HttpServer } from "../../lib/broker/http/server.ts";
import { waitFor } from "../support/helpers.ts";
import { rabbitMq, stopRabbitMq, test } from "../support/rabbitmq.ts";

type Row = { [name: string]: unknown };

/** Parameters that ask for samples. */
const SAMPLES = ["lengths", "msg_rates", "data_rates"].map((name) => `${name}_age=60&${name}_incr=5`).join(
  "&",
);

/** What RabbitMQ shows in each path, and this broker does not know. */
const UNKNOWN: Readonly<Record<string, RegExp>> = {
  "/overview": /^(release_series|contexts|listeners|erlang)/,
  "/queues/%2F/api-test":
    /(_ram|_paged_out|_persistent)$|^(backing_queue|garbage|reductions|recoverable|head_message|exclusive_consumer|consumer_(cap|util)|consumer_details\.activity)/,
  "/exchanges/%2F/api-test": /^user_who/,
  "/connections/NAME": /^(auth_|peer_cert|ssl_|recv_cnt|send_cnt|send_pend|user_who|garbage|reductions)/,
  "/channels/NAME": /_uncommitted$|^(garbage|reductions|pending_raft|user_who|consumer_details\.activity)/,
  "/vhosts/%2F": /^cluster_state\./,
};

interface Side {
  readonly amqp: string;
  readonly http: string;
}

let broker: Broker;
let server: HttpServer;

before(async () => {
  broker = await Broker.open();
  server = await HttpServer.listen(broker, ":0", { sampleInterval: 200 });
});

after(async () => {
  await server.close();
  await broker.close();
  await stopRabbitMq();
});

async function get(side: Side, path: string): Promise<Row> {
  const headers = { authorization: `Basic ${btoa("guest:guest")}` };
  const response = await fetch(`${side.http}/api${path}`, { headers });
  return await response.json();
}

/** Runs a load until everything has rates. @returns the objects by path */
async function load(side: Side): Promise<Map<string, Row>> {
  const connection = await connectBroker(parseAmqpUrl(side.amqp));
  const channel = await connection.open();
  const name = "api-test";
  await channel.call("queue.declare", { queue: name }, "queue.declare-ok");
  await channel.call("exchange.declare", { exchange: name, type: "fanout" }, "exchange.declare-ok");
  await channel.call("queue.bind", { queue: name, exchange: name }, "queue.bind-ok");
  await channel.call("basic.consume", { queue: name, noAck: true }, "basic.consume-ok");
  const publish = async () => {
    await fetch(`${side.http}/api/exchanges/%2F/${name}/publish`, {
      method: "POST",
      headers: { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" },
      body: JSON.stringify({ routing_key: "", payload: "x", payload_encoding: "string", properties: {} }),
    }).then((response) => response.body?.cancel());
  };
  const rows = new Map<string, Row>();
  const isComplete = async () => {
    await publish();
    const channels = await get(side, "/channels") as unknown as Row[];
    const mine = channels.find((one) => (one["message_stats"] as Row | undefined)?.["deliver_no_ack"]);
    if (mine === undefined) return false;
    const names: Readonly<Record<string, string>> = {
      "/connections/NAME": `/connections/${
        encodeURIComponent(String((mine["connection_details"] as Row)["name"]))
      }`,
      "/channels/NAME": `/channels/${encodeURIComponent(String(mine["name"]))}`,
    };
    for (const path of Object.keys(UNKNOWN)) {
      rows.set(path, await get(side, `${names[path] ?? path}?${SAMPLES}`));
    }
    return [...rows].every(([path, row]) =>
      path === "/connections/NAME" ? "recv_oct_details" in row : "message_stats" in row
    );
  };
  try {
    await waitFor(isComplete, 30_000, "statistics of everything");
  } finally {
    await channel.call("queue.delete", { queue: name }, "queue.delete-ok");
    await channel.call("exchange.delete", { exchange: name }, "exchange.delete-ok");
    await connection.close();
  }
  return rows;
}

/** The members of an object and of the objects in it, with their types. */
function shapeOf(value: unknown, path = "", shape = new Map<string, string>()): Map<string, string> {
  if (Array.isArray(value)) return value.length === 0 ? shape : shapeOf(value[0], path, shape);
  if (typeof value !== "object" || value === null) return shape;
  for (const [name, inner] of Object.entries(value)) {
    if (name === "client_properties" || name === "arguments") continue;
    shape.set(path + name, inner === null ? "null" : typeof inner);
    shapeOf(inner, `${path}${name}.`, shape);
  }
  return shape;
}

describe("http, statistics like RabbitMQ's", () => {
  test("statistics have RabbitMQ's members, with the same types", async () => {
    const rabbit = await rabbitMq();
    const amqp = (await broker.listen("amqp://127.0.0.1:0")).replace("//", "//guest:guest@");
    const [theirs, ours] = await Promise.all([
      load({ amqp: rabbit.url, http: rabbit.http }),
      load({ amqp, http: server.url }),
    ]);
    for (const [path, unknown] of Object.entries(UNKNOWN)) {
      const shape = shapeOf(ours.get(path));
      for (const [member, type] of shapeOf(theirs.get(path))) {
        if (unknown.test(member)) continue;
        assert.ok(shape.has(member), `${path}: ${member} is missing`);
        if (type !== "null" && shape.get(member) !== "null") {
          assert.equal(shape.get(member), type, `${path}: ${member}`);
        }
      }
    }
  });
});
