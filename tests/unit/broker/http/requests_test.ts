/** Requests that the HTTP API refuses, clients that misbehave, and addresses to listen on. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { HttpServer } from "../../../../lib/broker/http/server.ts";
import { Api } from "./api.ts";

const api = new Api();
before(() => api.open());
after(() => api.close());

describe("http, errors", () => {
  it("http - refuses unknown paths and methods", async () => {
    await api.refused(404, /Not Found/, "GET /none");
    await api.refused(404, /Not Found/, "GET /api/none");
    await api.refused(404, /Not Found/, "GET /api/queues/none");
    await api.refused(404, /Not Found/, "GET /api/queues/%2F/none");
    await api.refused(404, /Not Found/, "DELETE /api/queues/%2F/none");
    await api.refused(405, /Use GET/, "POST /api/overview", {});
    await api.refused(400, /malformed %/, "GET /api/queues/%zz");
  });

  it("http - refuses malformed bodies", async () => {
    await api.refused(400, /JSON/, "PUT /api/queues/%2F/q", "{");
    await api.refused(400, /must be a JSON object/, "PUT /api/queues/%2F/q", []);
    await api.refused(400, /durable must be true or false: received "perhaps"/, "PUT /api/queues/%2F/q", {
      durable: "perhaps",
    });
    await api.refused(400, /unknown exchange type 'odd'/, "PUT /api/exchanges/%2F/x", { type: "odd" });
    await api.refused(401, /reserved prefix/, "PUT /api/queues/%2F/amq.q", {});
    await api.refused(413, /over 16777216 bytes/, "PUT /api/queues/%2F/q", `"${"x".repeat(2 ** 24)}"`);
  });
});

describe("http, clients that misbehave", () => {
  it("http - closes connections that are slow, silent, send too much, or do not send HTTP", async () => {
    const strict = await HttpServer.listen(api.broker, ":0", {
      head: 1024,
      headTime: 100,
      time: 200,
      body: 100,
    });
    const login = `authorization: Basic ${btoa("guest:guest")}\r\nhost: localhost\r\n`;
    const put = `PUT /api/queues/%2F/slow HTTP/1.1\r\n${login}`;
    const talks = [
      "",
      "GET /api/overview HTTP/1.1\r\nhost: localhost\r\n",
      `${put}content-length: 50\r\n\r\n{`,
      `GET / HTTP/1.1\r\nx: ${"x".repeat(3000)}\r\n\r\n`,
      "AMQP\x00\x00\x09\x01",
    ];
    for (const heard of await Promise.all(talks.map((bytes) => api.rawAnswer(bytes, strict.url)))) {
      assert.ok(heard === "" || /^HTTP\/1\.1 4/.test(heard), heard);
    }
    const announced = await api.rawAnswer(`${put}content-length: 1000\r\n\r\n`, strict.url);
    assert.match(announced, /^HTTP\/1\.1 413 [\s\S]*over 100 bytes/);
    const chunks = `transfer-encoding: chunked\r\n\r\n${`40\r\n${"x".repeat(64)}\r\n`.repeat(4)}`;
    assert.match(await api.rawAnswer(`${put}${chunks}`, strict.url), /^HTTP\/1\.1 413 /);
    assert.equal(api.broker.vhosts.get("/")!.queues.has("slow"), false);
    await strict.close();
  });
});

describe("http, listening", () => {
  it("http - reports a port in use and an invalid address", async () => {
    await assert.rejects(
      HttpServer.listen(api.broker, api.server.url),
      /Cannot listen for HTTP on .*EADDRINUSE|in use/,
    );
    await assert.rejects(HttpServer.listen(api.broker, "nonsense"), /nonsense/);
  });
});
