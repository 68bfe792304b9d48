import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EndpointError } from "../../../../lib/errors.ts";
import { formatStomp, parseStompAddress } from "../../../../lib/stomp/client/url.ts";

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
        parseStompAddress(url).servers.map(({ endpoint, user, password, vhost }) => {
          assert.ok("host" in endpoint);
          const { destination } = parseStompAddress(url);
          return [endpoint.scheme, endpoint.host, endpoint.port, user, password, vhost, destination];
        }),
        servers,
      );
    });
  }

  it("url - obeys its parameters, and names others", () => {
    const [server] = parseStompAddress("stomp://host?heartbeat=30&connection_timeout=5000&x=1&x=2").servers;
    assert.deepEqual(
      [server!.heartbeat, server!.connectionTimeout, server!.ignored],
      [30, 5000, ["x"]],
    );
    assert.deepEqual(
      ["stomp://host", "stomp://me@host", "stomp://me:@host"].map((url) =>
        parseStompAddress(url).servers[0]!.hasPassword
      ),
      [true, false, true],
    );
    const [other] = parseStompAddress("stomp://me:x@host").servers;
    assert.deepEqual([other!.heartbeat, other!.ignored, other!.hasPassword], [10, undefined, true]);
  });

  it("url - numbers have their limits", () => {
    const parse = (query: string) => parseStompAddress(`stomp://host?${query}`).servers[0]!;
    assert.equal(parse("heartbeat=65535").heartbeat, 65535);
    assert.equal(parse("heartbeat=0").heartbeat, 0);
    assert.equal(parse("connection_timeout=2147483647").connectionTimeout, 2 ** 31 - 1);
    for (
      const query of ["heartbeat=65536", "heartbeat=-1", "heartbeat=1.5", "connection_timeout=2147483648"]
    ) {
      assert.throws(() => parse(query), /is not a number of (seconds|milliseconds)/);
    }
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
        "stomp://me:secret@host/queue/a,stomp://me:secret@host/queue/b",
      ]
    ) {
      assert.throws(() => parseStompAddress(url), (error: Error) => {
        assert.ok(error instanceof EndpointError);
        assert.doesNotMatch(error.message, /se.?c.?ret/);
        return true;
      }, url);
    }
    assert.equal(
      formatStomp(parseStompAddress("stomp://me:secret@h/queue/a?vhost=%2Fv").servers[0]!),
      "stomp://h:61613?vhost=%2Fv",
    );
    assert.equal(
      formatStomp(parseStompAddress("stomps://me:secret@[::1]").servers[0]!),
      "stomps://[::1]:61614",
    );
  });
});
