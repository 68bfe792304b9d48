/** Who may use the HTTP API: passwords, tags, the origin of a request and its Host. */
import assert from "node:assert/strict";
import os from "node:os";
import { after, before, describe, it } from "node:test";
import { isOwnHost } from "../../../../lib/page/host_header.ts";
import { Api, names } from "./api.ts";

const api = new Api();
before(() => api.open());
after(() => api.close());

describe("http, authentication", () => {
  it("http - refuses a missing or wrong password, and users without a tag", async () => {
    api.broker.users.put("plain", "s3cret");
    for (const login of ["", "guest:wrong", "nobody:guest", "guest", "plain:s3cret"]) {
      const { status, json, headers } = await api.ask("GET /api/overview", undefined, { login });
      assert.equal(status, 401, login);
      assert.equal((json as { error: string }).error, "not_authorised");
      assert.match(headers.get("www-authenticate")!, /^Basic /);
    }
    assert.equal((await api.ask("GET /metrics", undefined, { login: "" })).status, 401);
    assert.deepEqual(await api.ok("GET /api/whoami"), { name: "guest", tags: ["administrator"] });
  });

  it("http - accepts a password with colons and non-ASCII bytes", async () => {
    api.broker.users.put("odd", "a:b:ü", ["management"]);
    const login = String.fromCharCode(...new TextEncoder().encode("odd:a:b:ü"));
    assert.deepEqual(await api.ok("GET /api/whoami", undefined, login), {
      name: "odd",
      tags: ["management"],
    });
  });

  it("http - refuses requests of web pages from other origins", async () => {
    const { status } = await api.ask("PUT /api/queues/%2F/evil", {}, {
      headers: { origin: "https://evil.example" },
    });
    assert.equal(status, 403);
    await api.refused(404, /Not Found/, "GET /api/queues/%2F/evil");
  });

  it("http - refuses requests from this machine with the Host of another site", async () => {
    const { port } = new URL(api.server.url);
    const login = `authorization: Basic ${btoa("guest:guest")}\r\n`;
    const get = (host: string) =>
      api.rawAnswer(`GET /api/whoami HTTP/1.1\r\n${host}${login}connection: close\r\n\r\n`);
    for (
      const host of [
        "evil.example",
        `evil.example:${port}`,
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "1.2.3",
        "[::1",
        "",
      ]
    ) {
      assert.match(
        await get(`host: ${host}\r\n`),
        /^HTTP\/1\.1 403 [\s\S]*use localhost or an IP address/,
        host,
      );
    }
    const own = [
      "localhost",
      "LOCALHOST:1",
      "broker.localhost",
      "127.0.0.1:5",
      "[::1]:80",
      "192.0.2.7",
      os.hostname(),
    ];
    for (const host of own) assert.match(await get(`host: ${host}\r\n`), /^HTTP\/1\.1 200 /, host);
    assert.match(await api.rawAnswer(`GET /api/whoami HTTP/1.0\r\n${login}\r\n`), /^HTTP\/1\.\d 200 /);
  });

  it("http - accepts the name that it listens on as Host, and no other name", () => {
    assert.equal(isOwnHost("Broker.example:15672", "broker.example"), true);
    assert.equal(isOwnHost("broker.example.", "broker.example"), true);
    assert.equal(isOwnHost("www.broker.example", "broker.example"), false);
    assert.equal(isOwnHost("*", "*"), false);
  });

  it("http - the tag management shows own virtual hosts and no users", async () => {
    await api.ok("PUT /api/vhosts/theirs");
    await api.ok("PUT /api/vhosts/others");
    await api.ok("PUT /api/users/jane", { password: "x", tags: "management" });
    await api.ok("PUT /api/permissions/theirs/jane", { configure: "^j", write: "^j", read: "^j" });
    const jane = "jane:x";
    await api.ok("PUT /api/queues/others/hidden", {});
    await api.ok("PUT /api/queues/theirs/j1", {}, jane);
    assert.deepEqual(names(await api.ok("GET /api/vhosts", undefined, jane)), ["theirs"]);
    assert.deepEqual(names(await api.ok("GET /api/queues", undefined, jane)), ["j1"]);
    await api.refused(404, /Not Found/, "GET /api/queues/others/hidden", undefined, jane);
    await api.refused(
      401,
      /access to queue 'k' in vhost 'theirs' refused/,
      "PUT /api/queues/theirs/k",
      {},
      jane,
    );
    await api.refused(
      401,
      /access to exchange 'amq\.default'/,
      "POST /api/exchanges/theirs/amq.default/publish",
      { routing_key: "j1", payload: "x" },
      jane,
    );
    for (
      const route of ["GET /api/users", "GET /api/definitions", "GET /api/permissions", "PUT /api/vhosts/new"]
    ) {
      await api.refused(401, /administrator/, route, undefined, jane);
    }
    await api.refused(401, /monitoring/, "GET /metrics", undefined, jane);
    await api.ok("DELETE /api/permissions/theirs/jane");
    assert.deepEqual(await api.ok("GET /api/vhosts", undefined, jane), []);
    await api.ok("DELETE /api/users/jane");
    await api.ok("DELETE /api/vhosts/theirs");
    await api.ok("DELETE /api/vhosts/others");
    assert.deepEqual(names(await api.ok("GET /api/vhosts")), ["/"]);
  });
});
