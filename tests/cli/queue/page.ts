/** The server of the page for a broker: `queue page`. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import type { QueueContext } from "./context.ts";

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

/** A session of the page. */
class PageClient {
  readonly url: string;
  #cookie = "";

  constructor(url: string) {
    this.url = url;
  }

  async send(route: string, body?: unknown): Promise<Answer> {
    const [method, path] = route.split(" ") as [string, string];
    const response = await fetch(this.url + path, {
      method,
      headers: { "x-mqcat": "page", cookie: this.#cookie },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const [cookie] = response.headers.getSetCookie();
    if (cookie !== undefined) this.#cookie = cookie.split(";")[0]!;
    const text = await response.text();
    return { status: response.status, json: text === "" ? {} : JSON.parse(text) };
  }
}

export function pages({ peeks, startQueue, queue, test, well }: QueueContext): void {
  test("page - shows and changes a broker with the login of its users, and moves messages", async () => {
    using server = await startQueue(["page", ":0", "--write"]);
    const page = new PageClient(await server.readyEndpoint());
    const html = await fetch(page.url);
    assert.match(await html.text(), /^<!doctype html>[^]*\/page\/client\/app\.js/);
    const script = await fetch(`${page.url}/page/vendor/uplot.js`);
    assert.equal((await script.text()).length, 51_081);
    assert.equal((await page.send("GET /api/overview")).status, 401);
    const wrong = await page.send("POST /page/session", { user: "guest", password: "no" });
    assert.equal(wrong.status, 401);
    const login = await page.send("POST /page/session", { user: "guest", password: "guest" });
    assert.deepEqual([login.status, login.json["write"], login.json["peek"]], [200, true, peeks]);
    assert.equal((await page.send("GET /api/overview")).status, 200);

    assert.equal((await page.send("PUT /api/queues/%2F/page%20one", { durable: true })).status, 201);
    await well(["declare", "page two"]);
    await well(["put", "page one"], "a\nb\nc\n");
    await waitFor(
      async () => (await page.send("GET /api/queues/%2F/page%20one")).json["messages"] === 3,
      30_000,
      "the messages to be counted",
    );
    const move = (body: unknown) => page.send("POST /api/queues/%2F/page%20one/move", body);
    assert.deepEqual(await move({ destination: "page two", count: 2 }), { status: 200, json: { moved: 2 } });
    assert.deepEqual(await move({ destination: "page two" }), { status: 200, json: { moved: 1 } });
    assert.equal(await well(["get", "page two", "--drain"]), "a\nb\nc\n");
    const missing = await move({ destination: "page none" });
    assert.equal(missing.status, 404, JSON.stringify(missing.json));
    assert.equal((await move({ destination: "page one" })).status, 400);
    assert.equal((await move({})).status, 400);
    assert.equal((await move(undefined)).status, 400);
    assert.equal((await page.send("DELETE /api/queues/%2F/page%20one")).status, 204);
    await page.send("DELETE /page/session");
    assert.equal((await page.send("GET /api/overview")).status, 401);
    server.kill("SIGTERM");
    assert.equal((await server.exit()).code, 143);
  });

  test("page - is read-only without --write, on this machine only, and reports a missing API", async () => {
    using server = await startQueue(["page", ":0", "--http", "http://me:s3cret@127.0.0.1:1"]);
    const page = new PageClient(await server.readyEndpoint());
    const { status, json } = await page.send("POST /page/session", { user: "guest", password: "guest" });
    assert.equal(status, 502);
    assert.match(String(json["reason"]), /HTTP API does not answer at http:\/\/127\.0\.0\.1:1: /);
    assert.doesNotMatch(server.stderr + String(json["reason"]), /s3cret/);
    using other = await startQueue(["page", ":0"]);
    const reader = new PageClient(await other.readyEndpoint());
    await reader.send("POST /page/session", { user: "guest", password: "guest" });
    const refused = await reader.send("PUT /api/queues/%2F/page%20three", {});
    assert.deepEqual([refused.status, refused.json["error"]], [403, "read_only"]);
    for (const address of ["0.0.0.0:0", "*:0", "example.org:80", "x", ":99999"]) {
      const { code, stderr } = await queue(["page", address]);
      assert.equal(code, 2);
      assert.match(stderr, /is not an address of this machine/);
    }
  });
}
