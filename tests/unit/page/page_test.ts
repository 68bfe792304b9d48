/** The server side of the web page: its files, its sessions, and the requests that it refuses. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import http from "node:http";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "../../../lib/broker/server.ts";
import { HttpServer } from "../../../lib/broker/http/server.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { ASSETS } from "../../../lib/page/assets.ts";
import { Sessions } from "../../../lib/page/sessions.ts";
import { waitFor } from "../../support/helpers.ts";
import { VENDOR, vendorFiles } from "../../../scripts/vendor.ts";

const CLIENT = fileURLToPath(new URL("../../../lib/page/client/", import.meta.url));

describe("page, files", () => {
  it("files - are less than 150 KB together", () => {
    const size = [...ASSETS.values()].reduce((sum, { body }) => sum + body.length, 0);
    assert.ok(size < 150 * 1024, `${size} bytes`);
  });

  it("files - scripts find what they import, and all files are served", () => {
    for (const name of fs.readdirSync(CLIENT)) {
      const text = fs.readFileSync(CLIENT + name, "utf8");
      const path = name === "index.html" ? "/" : `/page/client/${name}`;
      assert.equal(ASSETS.get(path)?.body.toString(), text, name);
      for (const [, specifier] of text.matchAll(/(?:from|href=|src=) ?"([./][^"]+\.\w+)"/g)) {
        const target = new URL(specifier!, `http://x${path}`).pathname;
        assert.ok(ASSETS.has(target), `${name}: ${target}`);
      }
    }
  });

  it("files - name no other server, and have no scripts or styles in the HTML", () => {
    for (const name of fs.readdirSync(CLIENT)) {
      const text = fs.readFileSync(CLIENT + name, "utf8");
      assert.doesNotMatch(text, /https?:\/\//, name);
      if (name.endsWith(".html")) assert.doesNotMatch(text, /<script>|<style|style=|onclick/, name);
    }
  });

  it("files - the libraries are those of the packages: deno task vendor copies them", () => {
    const files = vendorFiles();
    assert.deepEqual(fs.readdirSync(VENDOR).sort(), [...files.keys()].sort());
    for (const [name, text] of files) assert.equal(fs.readFileSync(VENDOR + name, "utf8"), text, name);
  });
});

describe("page, sessions", () => {
  const hour = 3_600_000;

  it("sessions - have the login of a token until they end", () => {
    const sessions = new Sessions();
    const one = sessions.start("Basic one", 0);
    const two = sessions.start("Basic two", 0);
    assert.notEqual(one, two);
    assert.match(one, /^[\w-]{43}$/);
    assert.equal(sessions.authorizationOf(one, 1), "Basic one");
    assert.equal(sessions.authorizationOf(two, 1), "Basic two");
    assert.equal(sessions.authorizationOf(`${one}x`, 1), undefined);
    sessions.end(one);
    assert.equal(sessions.authorizationOf(one, 1), undefined);
  });

  it("sessions - end when they are old, or not used for long", () => {
    const sessions = new Sessions();
    const idle = sessions.start("Basic idle", 0);
    assert.equal(sessions.authorizationOf(idle, 8 * hour + 1), undefined);
    const used = sessions.start("Basic used", 0);
    for (let now = 0; now <= 24 * hour; now += 4 * hour) {
      assert.equal(sessions.authorizationOf(used, now), "Basic used");
    }
    assert.equal(sessions.authorizationOf(used, 24 * hour + 1), undefined);
  });

  it("sessions - the oldest of too many ends", () => {
    const sessions = new Sessions();
    const tokens = Array.from({ length: 1001 }, (_, at) => sessions.start(`Basic ${at}`, 0));
    assert.equal(sessions.authorizationOf(tokens[0]!, 1), undefined);
    assert.equal(sessions.authorizationOf(tokens[1]!, 1), "Basic 1");
  });
});

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly reason: string | undefined;
}

describe("page, requests", () => {
  let broker: Broker;
  let server: HttpServer;
  let writer: HttpServer;

  before(async () => {
    broker = await Broker.open();
    for (const [name, tags] of [["admin", ["administrator"]], ["viewer", ["monitoring"]]] as const) {
      broker.users.put(name, "secret", tags);
    }
    broker.users.permit("admin", "/", { configure: ".*", write: ".*", read: ".*" });
    broker.users.permit("viewer", "/", { configure: "^$", write: "^$", read: "^$" });
    server = await HttpServer.listen(broker, ":0");
    writer = await HttpServer.listen(broker, ":0", { pageWrites: true });
  });

  after(async () => {
    await server.close();
    await writer.close();
    await broker.close();
  });

  /** Sends a request with exactly these headers. */
  function send(
    to: HttpServer,
    route: string,
    headers: Record<string, string> = {},
    body?: unknown,
  ): Promise<Answer> {
    const [method, path] = route.split(" ") as [string, string];
    return new Promise((resolve, reject) => {
      const request = http.request(to.url + path, { method, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = /json/.test(response.headers["content-type"] ?? "");
          const reason = isJson && text !== "" ? JSON.parse(text)?.reason : undefined;
          resolve({ status: response.statusCode!, headers: response.headers, text, reason });
        });
      });
      request.on("error", reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  const PAGE = { "x-mqcat": "page" };

  /** Logs in. @returns the headers of requests in the session */
  async function session(to: HttpServer, user: string): Promise<Record<string, string>> {
    const { status, headers } = await send(to, "POST /page/session", PAGE, { user, password: "secret" });
    assert.equal(status, 200);
    return { ...PAGE, cookie: headers["set-cookie"]![0]!.split(";")[0]! };
  }

  it("requests - the page has a strict policy, is compressed, and is not sent again unchanged", async () => {
    const { status, headers, text } = await send(server, "GET /");
    assert.equal(status, 200);
    assert.match(text, /^<!doctype html>/);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|http/);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["www-authenticate"], undefined);
    const zipped = await send(server, "GET /page/vendor/uplot.js", { "accept-encoding": "gzip, br" });
    assert.equal(zipped.headers["content-encoding"], "gzip");
    assert.ok(Number(zipped.headers["content-length"]) < 25_000);
    const again = await send(server, "GET /", { "if-none-match": String(headers.etag) });
    assert.deepEqual([again.status, again.text], [304, ""]);
    assert.equal((await send(server, "HEAD /")).text, "");
    assert.equal((await send(server, "POST /")).status, 405);
    assert.equal((await send(server, "GET /page/client/../page.ts")).status, 401);
  });

  it("requests - a login is a cookie that scripts and other sites cannot use", async () => {
    const wrong = await send(server, "POST /page/session", PAGE, { user: "admin", password: "no" });
    assert.equal(wrong.status, 401);
    assert.equal(wrong.headers["www-authenticate"], undefined, "the browser would ask for a password");
    assert.equal(wrong.headers["set-cookie"], undefined);
    for (const body of [{}, { user: "admin" }, { user: "a:b", password: "c" }, { user: 1, password: 2 }]) {
      assert.equal((await send(server, "POST /page/session", PAGE, body)).status, 400);
    }
    const right = await send(server, "POST /page/session", PAGE, { user: "admin", password: "secret" });
    const [cookie] = right.headers["set-cookie"]!;
    const port = new URL(server.url).port;
    assert.match(cookie!, new RegExp(`^mqcat-${port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`));
    assert.equal(right.headers["cache-control"], "no-store");
    assert.deepEqual(JSON.parse(right.text), {
      name: "admin",
      tags: ["administrator"],
      write: false,
      peek: true,
      move: true,
    });
  });

  it("requests - the session is used only by requests of the page", async () => {
    const headers = await session(server, "admin");
    assert.equal((await send(server, "GET /api/overview", headers)).status, 200);
    const { cookie = "" } = headers;
    const typed = await send(server, "GET /api/overview", { cookie });
    assert.deepEqual([typed.status, typed.headers["www-authenticate"]], [401, 'Basic realm="mqcat"']);
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:1", "x"]) {
      const other = await send(server, "GET /api/overview", { ...headers, origin });
      assert.equal(other.status, 403, origin);
      const login = await send(server, "POST /page/session", { ...PAGE, origin }, {
        user: "admin",
        password: "secret",
      });
      assert.equal(login.status, 403, origin);
    }
    const own = await send(server, "GET /api/overview", { ...headers, origin: server.url });
    assert.equal(own.status, 200);
    const basic = { authorization: `Basic ${btoa("admin:secret")}` };
    assert.equal((await send(server, "GET /api/overview", { ...basic, origin: server.url })).status, 403);
    const rebound = await send(server, "GET /", { host: "evil.example" });
    assert.equal(rebound.status, 403);
  });

  it("requests - a session ends with its logout, and with its user", async () => {
    assert.deepEqual((await send(server, "GET /page/session", PAGE)).text, "null");
    const headers = await session(server, "admin");
    assert.equal(JSON.parse((await send(server, "GET /page/session", headers)).text).name, "admin");
    assert.equal((await send(server, "GET /page/session", { cookie: headers["cookie"]! })).status, 403);
    const out = await send(server, "DELETE /page/session", headers);
    assert.match(out.headers["set-cookie"]![0]!, /=; Max-Age=0;/);
    const { status, reason, headers: given } = await send(server, "GET /api/overview", headers);
    assert.deepEqual([status, reason, given["www-authenticate"]], [401, "Log in first", undefined]);
    const again = await session(server, "viewer");
    broker.users.put("viewer", "changed", ["monitoring"]);
    assert.equal((await send(server, "GET /api/overview", again)).status, 401);
    assert.equal((await send(server, "GET /page/session", again)).text, "null");
    broker.users.put("viewer", "secret", ["monitoring"]);
  });

  /** All that the page can change. */
  const CHANGES: readonly (readonly [route: string, body?: unknown])[] = [
    ["PUT /api/queues/%2F/other", {}],
    ["POST /api/queues/%2F/jobs/move", { destination: "jobs2" }],
    ["POST /api/queues/%2F/jobs/get", { count: 1, ackmode: "ack_requeue_true", encoding: "auto" }],
    ["POST /api/exchanges/%2F/amq.default/publish", {
      routing_key: "jobs",
      payload: "x",
      payload_encoding: "string",
      properties: {},
    }],
    ["PUT /api/exchanges/%2F/x", { type: "fanout" }],
    ["POST /api/bindings/%2F/e/amq.fanout/q/jobs", { routing_key: "" }],
    ["DELETE /api/bindings/%2F/e/amq.fanout/q/jobs/~"],
    ["DELETE /api/queues/%2F/jobs/contents"],
    ["DELETE /api/queues/%2F/jobs"],
    ["DELETE /api/exchanges/%2F/y"],
  ];

  /** Declares what `CHANGES` name, with a message. */
  function prepare(): void {
    const vhost = broker.vhosts.get("/")!;
    const shared = { passive: false, durable: false, autoDelete: false, arguments: {} };
    for (const queue of ["jobs", "jobs2"]) vhost.declareQueue({ ...shared, queue, exclusive: false }, {});
    vhost.declareExchange({ ...shared, exchange: "y", type: "fanout", internal: false });
    vhost.bindQueue({ queue: "jobs", exchange: "amq.fanout", routingKey: "", arguments: {} }, {});
  }

  it("requests - a page that is read-only changes nothing, and the API of tools still does", async () => {
    prepare();
    const headers = await session(server, "admin");
    for (const [route, body] of CHANGES) {
      const { status, reason } = await send(server, route, headers, body);
      assert.deepEqual([status, reason], [403, "this page is read-only"], route);
    }
    const peek = await send(server, "POST /api/queues/%2F/jobs/peek", headers, { count: 1 });
    assert.equal(peek.status, 200);
    const basic = { authorization: `Basic ${btoa("admin:secret")}` };
    assert.equal((await send(server, "PUT /api/queues/%2F/tool", basic, {})).status, 201);
  });

  it("requests - every change is refused to a user without the permission", async () => {
    prepare();
    const headers = await session(writer, "viewer");
    const changes = [...CHANGES, ["POST /api/queues/%2F/jobs/peek", { count: 1 }] as const];
    for (const [route, body] of changes) {
      const { status, reason } = await send(writer, route, headers, body);
      assert.equal(status, 401, `${route}: ${reason}`);
      assert.match(reason!, /refused/, route);
    }
  });

  it("requests - only administrators close the connections of others", async () => {
    const amqp = await broker.listen("amqp://127.0.0.1:0");
    const client = await connectBroker(parseAmqpUrl(amqp.replace("//", "//admin:secret@")));
    const admin = await session(writer, "admin");
    const viewer = await session(writer, "viewer");
    const [{ name }] = JSON.parse((await send(writer, "GET /api/connections", viewer)).text);
    for (const path of [encodeURIComponent(name), "username/admin"]) {
      const { status, reason } = await send(writer, `DELETE /api/connections/${path}`, viewer);
      assert.deepEqual([status, reason], [401, "User not authorised to access object"]);
    }
    assert.equal(broker.connections.size, 1);
    const closed = await send(writer, `DELETE /api/connections/${encodeURIComponent(name)}`, admin);
    assert.equal(closed.status, 204);
    await waitFor(() => broker.connections.size === 0, undefined, "the connection to close");
    await client.close();
  });

  it("requests - every change is made for a user with the permission", async () => {
    prepare();
    const headers = await session(writer, "admin");
    for (const [route, body] of CHANGES) {
      const { status, reason } = await send(writer, route, headers, body);
      assert.ok(status < 300, `${route}: ${status} ${reason}`);
    }
  });

  it("requests - move moves the first messages that are ready, with their properties, and reports refusals", async () => {
    prepare();
    const headers = await session(writer, "admin");
    const publish = (payload: string, queue = "jobs") =>
      send(writer, "POST /api/exchanges/%2F/amq.default/publish", headers, {
        routing_key: queue,
        payload,
        payload_encoding: "string",
        properties: { message_id: payload, headers: { n: 1 } },
      });
    await send(writer, "DELETE /api/queues/%2F/jobs/contents", headers);
    await send(writer, "DELETE /api/queues/%2F/jobs2/contents", headers);
    for (const payload of ["1", "2", "3"]) await publish(payload);
    const move = async (body: unknown) => {
      const { status, text } = await send(writer, "POST /api/queues/%2F/jobs/move", headers, body);
      return [status, JSON.parse(text)];
    };
    assert.deepEqual(await move({ destination: "jobs2", count: 2 }), [200, { moved: 2 }]);
    assert.deepEqual(await move({ destination: "jobs2" }), [200, { moved: 1 }]);
    assert.deepEqual(await move({ destination: "jobs2" }), [200, { moved: 0 }]);
    const shown = await send(writer, "POST /api/queues/%2F/jobs2/peek", headers, { count: 9 });
    const rows: { payload: string; routing_key: string; redelivered: boolean; properties: unknown }[] = JSON
      .parse(
        shown.text,
      );
    assert.deepEqual(rows.map(({ payload }) => payload), ["1", "2", "3"]);
    assert.deepEqual(rows[0]!.properties, { message_id: "1", headers: { n: 1 } });
    assert.deepEqual([rows[0]!.routing_key, rows[0]!.redelivered], ["jobs2", false]);
    assert.equal((await move({ destination: "missing" }))[0], 404);
    assert.equal((await move({ destination: "jobs" }))[0], 400);
    assert.equal((await move({}))[0], 400);
    const full = { arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } };
    await send(writer, "PUT /api/queues/%2F/full", headers, full);
    await publish("4");
    await publish("5");
    const [status, answer] = await move({ destination: "full" });
    assert.deepEqual([status, answer.reason], [400, "the queue 'full' is full (moved 1 messages)"]);
    assert.equal(broker.vhosts.get("/")!.queues.get("jobs")!.ready, 1);
  });
});
