/** STOMP clients have the users, limits and blocked publishers of the broker, and are shown in its HTTP API. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";
import { describe, it } from "node:test";
import { Broker } from "../../../../lib/broker/server.ts";
import type { TlsOptions } from "../../../../lib/transport/stream.ts";
import { issue, selfSigned } from "../../../support/certificates.ts";
import { waitFor } from "../../../support/helpers.ts";
import { StompPeer } from "../../../support/stomp_peer.ts";

const ENDPOINT = "stomp://127.0.0.1:0";

describe("STOMP access", () => {
  it("stomps - logs in with a password, or by the certificate of the client", async () => {
    const authority = selfSigned("/CN=Authority");
    const required: TlsOptions = {
      ...issue(authority, "/CN=localhost", "server"),
      ca: authority.cert,
      requireClientCert: true,
    };
    const broker = await Broker.open({ tls: required, certLoginFrom: "common_name" });
    broker.users.put("alice", "", []);
    broker.users.permit("alice", "/", { configure: ".*", write: ".*", read: ".*" });
    const url = await broker.listen("stomps://127.0.0.1:0");
    assert.match(url, /^stomps:/);
    const tls = (subject: string) => ({ ...issue(authority, subject), ca: authority.cert });
    const names = async (subject: string, headers: Record<string, string>) => {
      using peer = await StompPeer.dial(url, "1.2", tls(subject));
      peer.send("CONNECT", { "accept-version": "1.2", ...headers });
      const { command, text } = await peer.take("CONNECTED", "ERROR");
      const name = [...broker.connections].at(-1)?.user;
      await peer.close();
      return command === "CONNECTED" ? name : text.trim();
    };
    try {
      assert.equal(await names("/CN=alice", {}), "alice");
      assert.equal(await names("/CN=alice", { login: "guest", passcode: "guest" }), "guest");
      assert.equal(await names("/CN=mallory", {}), "Access refused for user 'mallory'");
    } finally {
      await broker.close();
    }
  });

  it("ws - the subprotocol chooses STOMP and its versions, and pages of other machines may not connect", async () => {
    const broker = await Broker.open();
    try {
      const url = await broker.listen("ws://127.0.0.1:0/ws");
      assert.match(url, /^ws:\/\/127\.0\.0\.1:\d+\/ws$/);
      for (const version of ["1.0", "1.1", "1.2"] as const) {
        using peer = await StompPeer.open(url, version);
        const [connection] = [...broker.connections];
        assert.deepEqual([connection!.protocol, connection!.remote.slice(0, 5)], [
          `STOMP ${version}`,
          "ws://",
        ]);
        // Larger than one WebSocket frame.
        const body = new Uint8Array(300_000).map((_, i) => i % 256);
        peer.send("SUBSCRIBE", { id: "0", destination: "/queue/ws" });
        peer.send("SEND", { destination: "/queue/ws" }, body);
        assert.ok(Buffer.from(body).equals((await peer.take("MESSAGE")).body));
        await peer.close();
        await waitFor(() => broker.connections.size === 0);
      }
      const ask = async (headers: Record<string, string>) => {
        const { port } = new URL(url);
        const request = [
          "GET /ws HTTP/1.1",
          `Host: 127.0.0.1:${port}`,
          "Upgrade: websocket",
          "Connection: Upgrade",
        ];
        const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
        const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
        const lines = [...request, key, "Sec-WebSocket-Version: 13", ...more, "", ""].join("\r\n");
        const socket = net.connect(Number(port), "127.0.0.1");
        socket.write(lines);
        const [answer] = await once(socket, "data") as [Buffer];
        socket.destroy();
        return answer.toString().split("\r\n")[0];
      };
      const stomp = { "Sec-WebSocket-Protocol": "v12.stomp, v11.stomp" };
      assert.equal(await ask(stomp), "HTTP/1.1 101 Switching Protocols");
      assert.equal(await ask({ "Sec-WebSocket-Protocol": "chat" }), "HTTP/1.1 400 Bad Request");
      assert.equal(await ask({ ...stomp, Origin: "https://evil.example" }), "HTTP/1.1 403 Forbidden");
    } finally {
      await broker.close();
    }
  });

  it("limits - of connections of a virtual host and of the broker", async () => {
    const broker = await Broker.open({ maxConnections: 2 });
    try {
      const url = await broker.listen(ENDPOINT);
      broker.vhosts.get("/")!.setLimits({ "max-connections": 1 });
      using first = await StompPeer.open(url);
      using second = await StompPeer.dial(url);
      second.send("CONNECT", { "accept-version": "1.2" });
      assert.match((await second.take("ERROR")).text, /connection limit \(1\) is reached/);
      await second.closed;
      await first.close();
      await waitFor(() => broker.connections.size === 0);
      broker.vhosts.get("/")!.setLimits({});
      using third = await StompPeer.open(url);
      using fourth = await StompPeer.open(url);
      using fifth = await StompPeer.dial(url);
      await fifth.closed;
      await Promise.all([third.close(), fourth.close()]);
    } finally {
      await broker.close();
    }
  });

  it("a removed virtual host - the connection ends with the reason", async () => {
    const broker = await Broker.open();
    try {
      broker.core.addVirtualHost("v");
      broker.users.permit("guest", "v", { configure: ".*", write: ".*", read: ".*" });
      using peer = await StompPeer.open(await broker.listen(ENDPOINT), "1.2", { host: "v" });
      broker.core.cycle.begin();
      broker.removeVirtualHost("v");
      broker.core.cycle.end();
      assert.match((await peer.take("ERROR")).text, /vhost 'v' is deleted/);
    } finally {
      await broker.close();
    }
  });

  it("blocked publishers - are not read until there is memory again, and nothing is lost", async () => {
    const broker = await Broker.open({ memoryLimit: 4 * 2 ** 20 });
    try {
      const url = await broker.listen(ENDPOINT);
      using publisher = await StompPeer.open(url);
      const body = new Uint8Array(256 * 1024);
      for (let i = 0; i < 40; i++) {
        publisher.send("SEND", { destination: "/queue/full", receipt: `${i}` }, body);
      }
      await waitFor(() => broker.core.blocked !== undefined);
      await waitFor(() => [...broker.connections].some(({ state }) => state === "blocked"));
      using consumer = await StompPeer.open(url);
      consumer.send("SUBSCRIBE", { id: "0", destination: "/queue/full" });
      for (let i = 0; i < 40; i++) await consumer.take("MESSAGE");
      for (let i = 0; i < 40; i++) await publisher.take("RECEIPT");
      assert.equal(broker.core.blocked, undefined);
    } finally {
      await broker.close();
    }
  });

  it("the HTTP API - shows connection, channel and consumers, and closes a connection", async () => {
    const broker = await Broker.open();
    try {
      const url = await broker.listen(ENDPOINT);
      const http = await broker.listenHttp("127.0.0.1:0");
      const api = async (path: string, method = "GET") => {
        const headers = { authorization: `Basic ${btoa("guest:guest")}` };
        const response = await fetch(`${http}/api/${path}`, { method, headers });
        const text = await response.text();
        return text === "" ? undefined : JSON.parse(text);
      };
      using peer = await StompPeer.open(url);
      await peer.call("SUBSCRIBE", {
        id: "x",
        destination: "/queue/a",
        ack: "client",
        "prefetch-count": "3",
      });
      const [connection] = await api("connections");
      assert.deepEqual(
        [connection.protocol, connection.channels, connection.client_properties.product, connection.user],
        ["STOMP 1.2", 1, "STOMP client", "guest"],
      );
      const [channel] = await api("channels");
      assert.deepEqual([channel.number, channel.consumer_count, channel.prefetch_count], [1, 1, 3]);
      const [consumer] = await api("consumers");
      assert.deepEqual(
        [consumer.consumer_tag, consumer.queue.name, consumer.ack_required, consumer.prefetch_count],
        ["T_x", "a", true, 3],
      );
      const { listeners } = await api("overview");
      assert.ok(
        listeners.some((one: { protocol: string }) => one.protocol === "stomp"),
        JSON.stringify(listeners),
      );
      await api(`connections/${encodeURIComponent(connection.name)}`, "DELETE");
      assert.match((await peer.take("ERROR")).text, /Closed via management plugin/);
      await peer.closed;
    } finally {
      await broker.close();
    }
  });
});
