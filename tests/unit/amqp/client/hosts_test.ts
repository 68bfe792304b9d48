/** Which of several hosts a client connects to: near the leader of a queue, and with TLS. */
import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { Consumer } from "../../../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { askFirst } from "../../../../lib/amqp/client/http_api.ts";
import { type ClusterOptions, nearLeader } from "../../../../lib/amqp/client/near_leader.ts";
import { type BrokerAddress, parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { openBroker } from "../../../../lib/broker/open.ts";
import type { LinkEvent, LinkOptions } from "../../../../lib/link/options.ts";
import { issue, selfSigned } from "../../../support/certificates.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { ANSWERS, type Script, serve } from "../../../support/scripted_broker.ts";
import { freePort } from "../../../support/ports.ts";

/** What an HTTP API says about a queue, and the ports of its nodes. */
let queue: object = {};
let listeners: object[] = [];
const api = http.createServer(({ url, headers }, response) => {
  const isKnown = headers.authorization === `Basic ${btoa("me:s3cret")}`;
  if (!isKnown) response.writeHead(401);
  response.end(JSON.stringify(url === "/api/overview" ? { listeners } : queue));
});

function on(node: string, port: number, protocol = "amqp"): object {
  return { node, port, protocol };
}

describe("near the leader", () => {
  it("is asked for several hosts, and only if it is wanted", () => {
    for (
      const [url, wanted, asks] of [
        ["amqp://a,b", true, true],
        ["amqp://a,b", false, false],
        ["amqp://a", true, false],
        ["amqp://a", false, false],
      ] as const
    ) {
      const options: LinkOptions & ClusterOptions = { nearLeader: wanted };
      const given = nearLeader(parseAmqpUrl(url), "q", options);
      assert.equal(given.order !== undefined, asks, `${url} ${wanted}`);
      if (!asks) assert.equal(given, options);
    }
  });
});

/** The hosts of a URL in the order near the leader, and the words if it is not known. */
function ordered(url: string): Promise<[hosts: string[], words: string[]]> {
  return orderedOf(parseAmqpUrl(url));
}

async function orderedOf(brokers: readonly BrokerAddress[]): Promise<[hosts: string[], words: string[]]> {
  const words: string[] = [];
  const { port } = api.address() as AddressInfo;
  const { order } = nearLeader<LinkOptions & ClusterOptions>(brokers, "q", {
    nearLeader: true,
    http: [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${port}/`],
    onEvent: (event: LinkEvent) => void (event.type === "leaderless" && words.push(event.error.message)),
  });
  const hosts = await order!(brokers);
  return [
    hosts.map(({ endpoint }) => endpoint.scheme === "inproc" ? "" : `${endpoint.host}:${endpoint.port}`),
    words,
  ];
}

describe("hosts", () => {
  after(() => void api.close());

  it("near the leader - by port, by name, by a short name; otherwise in order, with the reason", async () => {
    await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
    queue = { leader: "rabbit@b.local", node: "rabbit@a.local" };
    listeners = [on("rabbit@a.local", 1), on("rabbit@b.local", 2), on("rabbit@b.local", 1, "stomp")];
    assert.deepEqual(await ordered("amqp://me:s3cret@one:1,one:2"), [["one:2", "one:1"], []]);
    listeners = [on("rabbit@a.local", 5672), on("rabbit@b.local", 5672), on("rabbit@c.local", 5672)];
    for (const host of ["b.local", "B.LOCAL", "b", "b.local.example"]) {
      const [hosts, words] = await ordered(`amqp://me:s3cret@a.local,${host},c.local`);
      assert.deepEqual([hosts[0], hosts[1], words], [`${host}:5672`, "a.local:5672", []]);
    }
    const [hosts, words] = await ordered("amqp://me:s3cret@10.0.0.1,10.0.0.2");
    assert.deepEqual(hosts, ["10.0.0.1:5672", "10.0.0.2:5672"]);
    assert.match(words[0]!, /leader of queue 'q' is at node 'rabbit@b.local', and it is not known which/);
    // A classic queue has a node, and one without a leader has none.
    queue = { node: "rabbit@c.local" };
    assert.equal((await ordered("amqp://me:s3cret@a.local,b.local,c.local"))[0][0], "c.local:5672");
    queue = { leader: null };
    assert.match((await ordered("amqp://me:s3cret@a,b"))[1][0]!, /queue 'q' has no leader for now/);
    const [, [refused]] = await ordered("amqp://other:s3cret@a,b");
    assert.match(refused!, /refused user 'other'/);
    assert.doesNotMatch(refused!, /s3cret/);
    // The login is that of the first host.
    const [one, other] = [
      ...parseAmqpUrl("amqp://me:s3cret@a.local"),
      ...parseAmqpUrl("amqp://other@b.local"),
    ];
    queue = { leader: "rabbit@b.local" };
    assert.deepEqual(await orderedOf([one!, other!]), [["b.local:5672", "a.local:5672"], []]);
    assert.match((await orderedOf([other!, one!]))[1][0]!, /refused user 'other'/);
    // A host at whose port the node does not listen is not the node.
    listeners = [on("rabbit@a.local", 5672), on("rabbit@b.local", 1)];
    assert.match((await ordered("amqp://me:s3cret@a.local,b.local"))[1][0]!, /not known which/);
  });

  it("HTTP API - a list of URLs; the error has the reason of each, and no password", async () => {
    const [one, two] = [await freePort(), await freePort()];
    const urls = [`http://me:s3cret@127.0.0.1:${one}/`, `http://127.0.0.1:${two}`];
    await assert.rejects(askFirst(urls, parseAmqpUrl("amqp://localhost")[0]!, "overview"), {
      code: "ERR_HTTP_API",
      message: `The HTTP API does not answer at http://127.0.0.1:${one} (connection refused), ` +
        `http://127.0.0.1:${two} (connection refused): check its URL, or enable it with ` +
        "'rabbitmq-plugins enable rabbitmq_management'",
    });
  });

  it("a queue that is away at one host, such as a stream without a replica there, is looked for at the next one", async () => {
    const close = {
      replyCode: 406,
      replyText: "PRECONDITION_FAILED - queue 's' does not have a replica on the local node",
      classId: 60,
      methodId: 20,
    };
    const without: Script = { answers: () => ({ ...ANSWERS, "basic.consume": ["channel.close", close] }) };
    await serve(without, (first, refused) =>
      serve({}, async (second, served) => {
        const events: string[] = [];
        const consumer = new Consumer(parseAmqpUrl(`${first},${new URL(second).host}`), "s", {
          onDelivery: () => {},
          awayPatience: Infinity,
          onEvent: (event) => void (event.type === "away" && events.push(event.error.message)),
        });
        await deadline(consumer.start(), 5000, "the start");
        assert.equal(consumer.broker, second);
        assert.deepEqual([refused.length, served.length, events.length], [1, 1, 1]);
        assert.match(events[0]!, /queue 's' is unavailable: .*does not have a replica/);
        // After a lost connection the order is that of the list again.
        served[0]!.socket.destroy();
        await waitFor(() => served.length === 2);
        assert.equal(refused.length, 2);
        await consumer.close();
      }));
  });

  it("TLS - each host has a certificate for its own name, and a wrong one only excludes that host", async () => {
    const authority = selfSigned("/CN=Authority");
    const open = (names: string) => openBroker({ tls: issue(authority, "/CN=node", "server", {}, names) });
    const [named, numbered] = [await open("DNS:localhost"), await open("IP:127.0.0.1")];
    try {
      const byName = (await named.listen("amqps://127.0.0.1:0")).replace("127.0.0.1", "localhost");
      const byAddress = await numbered.listen("amqps://127.0.0.1:0");
      const wrong = byAddress.replace("127.0.0.1", "localhost");
      const ports = (...urls: string[]) => urls.map((url) => new URL(url).host).join(",");
      const connected = async (hosts: string) => {
        let broker = "";
        const connection = await connectBroker(parseAmqpUrl(`amqps://${hosts}`), {
          tls: { ca: authority.cert },
          onEvent: (event) => void (event.type === "connected" && (broker = event.broker)),
        });
        await connection.close();
        return new URL(broker).host;
      };
      assert.equal(await connected(ports(byName, byAddress)), ports(byName));
      assert.equal(await connected(ports(byAddress, byName)), ports(byAddress));
      assert.equal(await connected(ports(wrong, byName)), ports(byName));
      await assert.rejects(connected(ports(wrong)), { code: "ERR_CERTIFICATE" });
      await assert.rejects(connected(ports(wrong, byName).replace(/:\d+$/, ":1")), {
        code: "ERR_UNREACHABLE",
        message: /certificate.*; cannot connect to tls:\/\/localhost:1/i,
      });
    } finally {
      await named.close();
      await numbered.close();
    }
  });
});
