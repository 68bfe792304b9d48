import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EndpointError } from "../../../../lib/errors.ts";
import { formatStomp, parseStompUrl } from "../../../../lib/stomp/client/url.ts";

describe("STOMP URLs", () => {
  const cases: [url: string, ...servers: unknown[][]][] = [
    ["stomp://", ["tcp", "127.0.0.1", 61613, "guest", "guest", "/", ""]],
    ["stomp://host", ["tcp", "host", 61613, "guest", "guest", "/", ""]],
    ["stomps://me@host/", ["tls", "host", 61614, "me", "", "/", ""]],
    ["stomp://m%40e:p%2F@host:7/queue/jobs", ["tcp", "host", 7, "m@e", "p/", "/", "/queue/jobs"]],
    ["stomp://host/topic/orders.#", ["tcp", "host", 61613, "guest", "guest", "/", "/topic/orders.#"]],
    ["stomp://host/exchange/a%2Fb/%C3%A9", [
      "tcp",
      "host",
      61613,
      "guest",
      "guest",
      "/",
      "/exchange/a%2Fb/é",
    ]],
    ["stomp://host?vhost=shop", ["tcp", "host", 61613, "guest", "guest", "shop", ""]],
    ["stomp://a,b:2/jobs", ["tcp", "a", 61613, "guest", "guest", "/", "/jobs"], [
      "tcp",
      "b",
      2,
      "guest",
      "guest",
      "/",
      "/jobs",
    ]],
  ];
  for (const [url, ...servers] of cases) {
    it(`url - parses ${url}`, () => {
      assert.deepEqual(
        parseStompUrl(url).map(({ endpoint, user, password, vhost, destination }) => {
          assert.ok("host" in endpoint);
          return [endpoint.scheme, endpoint.host, endpoint.port, user, password, vhost, destination];
        }),
        servers,
      );
    });
  }

  it("url - obeys its parameters, and names others", () => {
    const [server] = parseStompUrl("stomp://host?heartbeat=30&connection_timeout=5000&x=1&x=2");
    assert.deepEqual(
      [server!.heartbeat, server!.connectionTimeout, server!.ignored],
      [30, 5000, ["x"]],
    );
    const [other] = parseStompUrl("stomp://me:x@host");
    assert.deepEqual([other!.heartbeat, other!.ignored, other!.hasPassword], [10, undefined, true]);
  });

  it("url - neither errors nor formatted addresses contain the password", () => {
    for (
      const url of [
        "http://me:secret@host",
        "stomp://me:secret@host:port",
        "stomp://me:sec%ret@host",
        "stomp://me:se/cret@host",
        "stomp://me:se#cret@host",
        "stomp://me:secret@host?heartbeat=soon",
      ]
    ) {
      assert.throws(() => parseStompUrl(url), (error: Error) => {
        assert.ok(error instanceof EndpointError);
        assert.doesNotMatch(error.message, /se.?c.?ret/);
        return true;
      }, url);
    }
    assert.equal(
      formatStomp(parseStompUrl("stomp://me:secret@h/queue/a?vhost=%2Fv")[0]!),
      "stomp://h:61613?vhost=%2Fv",
    );
    assert.equal(formatStomp(parseStompUrl("stomps://me:secret@[::1]")[0]!), "stomps://[::1]:61614");
  });
});
