/** Rates and samples of the HTTP API, and what their memory depends on. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { type Listing, listObjects } from "../../../../lib/broker/http/list.ts";
import { History } from "../../../../lib/broker/http/rates/history.ts";
import { QUEUE } from "../../../../lib/broker/http/rates/meters.ts";
import { Rates } from "../../../../lib/broker/http/rates/rates.ts";
import { Sampler } from "../../../../lib/broker/http/rates/sampler.ts";
import { HttpServer } from "../../../../lib/broker/http/server.ts";
import { waitFor } from "../../../support/helpers.ts";

type Row = Record<string, unknown>;

describe("history", () => {
  it("history - has the value of each counter at a time, and 0 before the first one", () => {
    const history = new History(2);
    history.add(10, [1, 5], 4);
    history.add(20, [2, 5], 4);
    history.add(30, [2, 5], 4);
    history.add(40, [7, 6], 4);
    const at = (counter: number) => [5, 10, 15, 20, 39, 40, 99].map((time) => history.at(counter, time));
    assert.deepEqual(at(0), [0, 1, 1, 2, 2, 7, 7]);
    assert.deepEqual(at(1), [0, 5, 5, 5, 5, 6, 6]);
  });

  it("history - drops the oldest values above the limit, and uses the oldest one that is left", () => {
    const history = new History(1);
    for (let time = 1; time <= 100; time++) history.add(time, [time], 10);
    assert.equal(history.at(0, 100), 100);
    assert.equal(history.at(0, 91), 91);
    assert.equal(history.at(0, 1), 91);
    for (let time = 101; time <= 110; time++) history.add(time, [time], 5);
    assert.equal(history.at(0, 1), 106);
  });
});

describe("lists", () => {
  it("lists - describe only the objects of the page, if they can be sorted without", () => {
    const objects = Array.from({ length: 10_000 }, (_, size) => ({ name: `n${size}`, size }));
    let described = 0;
    const listing: Listing<{ name: string; size: number }> = {
      objects,
      name: ({ name }) => name,
      row: ({ name, size }) => (described++, { name, size, other: -size }),
      column: (column) => column === "size" ? ({ size }) => size : undefined,
    };
    const query = (text: string) => listObjects(listing, new URLSearchParams(text)) as { items: Row[] };
    const { items } = query("page=3&page_size=50&sort=size&sort_reverse=true&name=N9");
    assert.equal(items[0]!["size"], 9899);
    assert.equal(described, 50);
    assert.equal(query("page=1&page_size=50&sort=other").items[0]!["size"], 9999, "by its rows");
  });
});

describe("sampler", () => {
  let broker: Broker;
  before(async () => void (broker = await Broker.open()));
  after(() => broker.close());

  it("sampler - rates are the change between the last two samples, samples are aligned", () => {
    const vhost = broker.vhosts.get("/")!;
    const declared = {
      queue: "q",
      passive: false,
      durable: false,
      exclusive: false,
      autoDelete: false,
      arguments: {},
    };
    const queue = vhost.declareQueue(declared, {});
    const sampler = new Sampler(broker);
    const publish = (query = "") => {
      const row = new Rates(sampler, new URLSearchParams(query)).of(QUEUE, queue, ["published"]);
      return row["publish_details"] as Row;
    };
    assert.deepEqual(publish(), { rate: 0 });
    sampler.sample(100_000);
    queue.stats.published = 10;
    assert.deepEqual(publish(), { rate: 0 }, "there is only one sample");
    sampler.sample(105_000);
    assert.deepEqual(publish(), { rate: 2 });
    queue.stats.published = 60;
    sampler.sample(110_000);
    assert.deepEqual(publish("msg_rates_age=10&msg_rates_incr=5"), {
      rate: 10,
      samples: [
        { sample: 60, timestamp: 110_000 },
        { sample: 10, timestamp: 105_000 },
        { sample: 0, timestamp: 100_000 },
      ],
      avg_rate: 6,
      avg: 70 / 3,
    });
    sampler.sample(115_000);
    assert.deepEqual(publish("msg_rates_age=10&lengths_incr=5"), { rate: 0 });
    for (const wrong of ["msg_rates_age=x&msg_rates_incr=5", "msg_rates_age=9e9&msg_rates_incr=1"]) {
      assert.deepEqual(publish(wrong), { rate: 0 }, wrong);
    }
    sampler.sample(114_000);
    assert.equal(sampler.last, 115_000);
    sampler.sample(50_000);
    assert.deepEqual([sampler.last, sampler.previous], [50_000, 0], "the clock was set back");
    queue.stats.published = 70;
    sampler.sample(55_000);
    assert.deepEqual(publish(), { rate: 2 });
  });
});

describe("http, rates", () => {
  let broker: Broker;
  let server: HttpServer;
  let connection: AmqpConnection;

  before(async () => {
    broker = await Broker.open();
    const amqp = await broker.listen("amqp://127.0.0.1:0");
    server = await HttpServer.listen(broker, ":0", { sampleInterval: 100 });
    connection = await connectBroker(parseAmqpUrl(amqp.replace("//", "//guest:guest@")));
  });

  after(async () => {
    await connection.close();
    await server.close();
    await broker.close();
  });

  async function get(path: string): Promise<unknown> {
    const response = await fetch(server.url + path, {
      headers: { authorization: `Basic ${btoa("guest:guest")}` },
    });
    assert.equal(response.status, 200, path);
    return response.headers.get("content-type")?.includes("json") ? response.json() : response.text();
  }

  async function publishTo(exchange: string, payload: string): Promise<void> {
    const response = await fetch(`${server.url}/api/exchanges/%2F/${exchange}/publish`, {
      method: "POST",
      headers: { authorization: `Basic ${btoa("guest:guest")}` },
      body: JSON.stringify({ routing_key: "", payload, payload_encoding: "string", properties: {} }),
    });
    await response.body?.cancel();
  }

  const rateOf = (row: unknown, name: string) => {
    const stats = (row as Row)["message_stats"] as Row | undefined;
    return ((stats?.[`${name}_details`] ?? (row as Row)[`${name}_details`]) as Row | undefined)?.["rate"] ??
      0;
  };

  it("rates - of the overview, virtual hosts, exchanges, queues, connections and channels move with messages", async () => {
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "jobs" }, "queue.declare-ok");
    await channel.call("exchange.declare", { exchange: "x", type: "fanout" }, "exchange.declare-ok");
    await channel.call("queue.bind", { queue: "jobs", exchange: "x" }, "queue.bind-ok");
    await channel.call("basic.consume", { queue: "jobs", noAck: true }, "basic.consume-ok");
    const publish = () => get("/api/overview").then(() => publishTo("x", "x"));
    const moving: readonly (readonly [path: string, counter: string])[] = [
      ["/api/overview", "publish"],
      ["/api/overview", "deliver_no_ack"],
      ["/api/vhosts", "publish"],
      ["/api/vhosts/%2F", "send_oct"],
      ["/api/exchanges?name=x", "publish_in"],
      ["/api/exchanges/%2F/x", "publish_out"],
      ["/api/queues?page=1&sort=message_stats.publish_details.rate&sort_reverse=true", "publish"],
      ["/api/queues/%2F/jobs", "deliver_get"],
      ["/api/connections", "send_oct"],
      ["/api/channels", "deliver_no_ack"],
    ];
    for (const [path, counter] of moving) {
      await waitFor(
        async () => {
          await publish();
          const given = await get(path) as Row | Row[];
          const row = Array.isArray(given) ? given[0] : (given["items"] as Row[] | undefined)?.[0] ?? given;
          return Number(rateOf(row, counter)) > 0;
        },
        undefined,
        `a rate of ${counter} in ${path}`,
      );
    }
  });

  it("rates - lists can be sorted by every column that they have", async () => {
    const stats = (await get("/api/queues/%2F/jobs") as Row)["message_stats"] as Row;
    const columns = ["name", "vhost", "type", "consumers", "memory", "message_bytes", "messages", "state"];
    columns.push(
      ...Object.keys(stats).map((name) => `message_stats.${name.replace("_details", "_details.rate")}`),
    );
    for (const column of columns) {
      const page = await get(`/api/queues?page=1&sort=${column}`) as Row;
      assert.equal(page["total_count"], 1, column);
    }
  });

  it("metrics - have every name in the queries of RabbitMQ's dashboard RabbitMQ-Overview", async () => {
    const text = await get("/metrics") as string;
    for (const name of OVERVIEW) {
      assert.match(text, new RegExp(`^${name}(\\{.*\\})? \\d+(\\.\\d+)?$`, "m"), name);
    }
  });

  it("metrics - the identity of the node has the labels of the dashboards' joins, and the path", async () => {
    const labels =
      'rabbitmq_node="NODE",rabbitmq_cluster="NODE",rabbitmq_cluster_permanent_id="NODE",rabbitmq_endpoint=';
    for (
      const [path, endpoint] of [["", "aggregated"], ["/per-object", "per-object"], ["/detailed", "detailed"]]
    ) {
      const text = await get(`/metrics${path}`) as string;
      const node = /rabbitmq_node="([^"]+)"/.exec(text)![1]!;
      const expected = `rabbitmq_identity_info{${labels.replaceAll("NODE", node)}"${endpoint}"} 1`;
      assert.deepEqual(text.match(/^rabbitmq_identity_info.*$/gm), [expected]);
      assert.match(text, /^rabbitmq_build_info\{rabbitmq_version="[^"]+",/m);
    }
  });

  it("metrics - the sizes of published messages are a histogram", async () => {
    const sizes = async () => {
      const text = await get("/metrics") as string;
      const found = text.matchAll(
        /^rabbitmq_message_size_bytes_(\w+)\{protocol="amqp091"(?:,le="(.+)")?\} (\d+)$/gm,
      );
      return new Map([...found].map(([, name, le, value]) => [le ?? name!, Number(value)]));
    };
    const before = await sizes();
    for (const size of [0, 100, 101, 20_000]) await publishTo("amq.direct", "x".repeat(size));
    const grown = Object.fromEntries(
      [...await sizes()].map(([name, value]) => [name, value - before.get(name)!]),
    );
    assert.deepEqual(grown, {
      "100": 2,
      "1000": 3,
      "10000": 3,
      "100000": 4,
      "1000000": 4,
      "10000000": 4,
      "50000000": 4,
      "100000000": 4,
      "+Inf": 4,
      sum: 20_201,
      count: 4,
    });
  });

  it("metrics - the process has the names that dashboards of any program use", async () => {
    const text = await get("/metrics") as string;
    for (
      const name of [
        "cpu_seconds_total",
        "start_time_seconds",
        "resident_memory_bytes",
        "open_fds",
        "max_fds",
      ]
    ) {
      assert.match(text, new RegExp(`^process_${name} \\d+(\\.\\d+)?$`, "m"), name);
    }
  });

  it("metrics - have each name once, for all objects and for each", async () => {
    const families = ["connection_churn_metrics", "node_metrics", "queue_delivery_metrics", "vhost_status"];
    families.push("exchange_names", "exchange_bindings", "channel_queue_metrics", "auth_attempt_metrics");
    const detailed = `/metrics/detailed?${families.map((family) => `family=${family}`).join("&")}`;
    for (const path of ["/metrics", "/metrics/per-object", detailed]) {
      const lines = (await get(path) as string).trimEnd().split("\n");
      const types = lines.filter((line) => line.startsWith("# TYPE "));
      assert.equal(new Set(types).size, types.length, path);
      for (const line of lines) assert.match(line, /^(# (TYPE|HELP) \w+ .+|\w+(\{.*\})? [\d.e+]+)$/);
    }
    const text = await get(detailed) as string;
    assert.match(text, /^rabbitmq_cluster_exchange_bindings\{vhost="\/",exchange="x",type="fanout"\} 1$/m);
    assert.match(text, /^rabbitmq_detailed_queue_messages_delivered_total\{vhost="\/",queue="jobs"\} [1-9]/m);
    assert.match(text, /^rabbitmq_detailed_channel_messages_delivered_total\{channel=".*"\} [1-9]/m);
    assert.match(text, /^rabbitmq_detailed_queues_created_total 1$/m);
  });
});

/** The metrics in the panels of RabbitMQ-Overview.json (rabbitmq-server, deps/rabbitmq_prometheus/docker/grafana). */
const OVERVIEW = [
  ...[
    "build_info",
    "identity_info",
    "connections",
    "channels",
    "queues",
    "queue_messages_ready",
    "queue_messages_unacked",
    "resident_memory_limit_bytes",
    "process_resident_memory_bytes",
    "disk_space_available_bytes",
    "connections_opened_total",
    "connections_closed_total",
    "channels_opened_total",
    "channels_closed_total",
    "queues_declared_total",
    "queues_created_total",
    "queues_deleted_total",
  ],
  // Versions 3.8 and 3.9.
  ...[
    "channel_consumers",
    "channel_messages_unconfirmed",
    "queue_messages_published_total",
    "process_max_fds",
    "process_open_fds",
    "process_max_tcp_sockets",
    "process_open_tcp_sockets",
    ...[
      "get",
      "get_ack",
      "get_empty",
      "messages_acked",
      "messages_confirmed",
      "messages_delivered",
      "messages_delivered_ack",
      "messages_published",
      "messages_redelivered",
      "messages_unroutable_dropped",
      "messages_unroutable_returned",
    ].map((what) => `channel_${what}_total`),
  ],
  // Later versions; of these the sizes since 4.1.
  ...[
    "erlang_uptime_seconds",
    "global_publishers",
    "global_consumers",
    "message_size_bytes_sum",
    "message_size_bytes_count",
    "message_size_bytes_bucket",
    ...[
      "acknowledged",
      "confirmed",
      "delivered",
      "delivered_consume_auto_ack",
      "delivered_consume_manual_ack",
      "delivered_get_auto_ack",
      "delivered_get_manual_ack",
      "get_empty",
      "received",
      "received_confirm",
      "redelivered",
      "routed",
      "unroutable_dropped",
      "unroutable_returned",
    ].map((what) => `global_messages_${what}_total`),
  ],
].map((name) => `rabbitmq_${name}`);
