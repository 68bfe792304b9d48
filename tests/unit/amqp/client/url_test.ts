import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatBroker, parseAmqpAddress, parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { EndpointError } from "../../../../lib/errors.ts";

/** Scheme, host, port, user, password and virtual host of each broker. */
function parts(url: string): unknown[][] {
  return parseAmqpUrl(url).map(({ endpoint, user, password, vhost }) => {
    assert.ok("host" in endpoint);
    return [endpoint.scheme, endpoint.host, endpoint.port, user, password, vhost];
  });
}

describe("AMQP URLs", () => {
  const cases: [url: string, ...brokers: unknown[][]][] = [
    ["amqp://", ["tcp", "127.0.0.1", 5672, "guest", "guest", "/"]],
    ["amqp://host", ["tcp", "host", 5672, "guest", "guest", "/"]],
    ["amqp://host/", ["tcp", "host", 5672, "guest", "guest", "/"]],
    ["amqps://host", ["tls", "host", 5671, "guest", "guest", "/"]],
    ["AMQP://me@host:1/shop", ["tcp", "host", 1, "me", "", "shop"]],
    ["amqp://me:it@host/%2F", ["tcp", "host", 5672, "me", "it", "/"]],
    ["amqp://me:it@host/%2Fa%2Fb", ["tcp", "host", 5672, "me", "it", "/a/b"]],
    ["amqp://m%40e:p%3A%2F%40%2C@host", ["tcp", "host", 5672, "m@e", "p:/@,", "/"]],
    ["amqp://me:p:q@host", ["tcp", "host", 5672, "me", "p:q", "/"]],
    ["amqp://[::1]:7", ["tcp", "::1", 7, "guest", "guest", "/"]],
    ["host:7", ["tcp", "host", 7, "guest", "guest", "/"]],
    [":7/shop", ["tcp", "127.0.0.1", 7, "guest", "guest", "shop"]],
    ["amqp://u:p@a,b:2,[::3]/v", ["tcp", "a", 5672, "u", "p", "v"], ["tcp", "b", 2, "u", "p", "v"], [
      "tcp",
      "::3",
      5672,
      "u",
      "p",
      "v",
    ]],
    ["pyamqp://me:it@host//", ["tcp", "host", 5672, "me", "it", "/"]],
    ["rabbitmq://host", ["tcp", "host", 5672, "guest", "guest", "/"]],
    ["amqp+ssl://host", ["tls", "host", 5671, "guest", "guest", "/"]],
    ["amqp://a,amqp+ssl://b", ["tcp", "a", 5672, "guest", "guest", "/"], [
      "tls",
      "b",
      5671,
      "guest",
      "guest",
      "/",
    ]],
    ["amqp://a,amqps://u:p@b", ["tcp", "a", 5672, "guest", "guest", "/"], ["tls", "b", 5671, "u", "p", "/"]],
  ];
  for (const [url, ...brokers] of cases) {
    it(`url - parses ${url}`, () => assert.deepEqual(parts(url), brokers));
  }

  it("url - parses the heartbeat, and reports whether the password is known", () => {
    assert.equal(parseAmqpUrl("amqp://host?heartbeat=30")[0]!.heartbeat, 30);
    assert.equal(parseAmqpUrl("amqp://host/v")[0]!.heartbeat, undefined);
    assert.deepEqual(
      ["amqp://host", "amqp://me@host", "amqp://me:@host"].map((url) => parseAmqpUrl(url)[0]!.hasPassword),
      [true, false, true],
      "the password of guest is known where no user is named",
    );
  });

  const mistakes: [url: string, words: RegExp][] = [
    ["http://host", /'http' is not amqp or amqps/],
    ["amqp://host/a/b", /must be written %2F/],
    ["amqp://host/%2", /the virtual host has a % without two hexadecimal digits/],
    ["amqp://host:0", /0 is not a port/],
    ["amqp://host:65536", /65536 is not a port/],
    ["amqp://one,", /a host of the list is empty/],
    ["amqp://,two", /a host of the list is empty/],
    ["amqp://one,,amqp://two", /a host of the list is empty/],
    ["amqp://host:port", /'host:…' is not a host and a port \(try amqp:/],
    ["amqp://::1", /an IPv6 address needs brackets/],
    ["amqp://host?frame_max=100", /frame_max is less than 4096/],
    ["amqp://host?auth_mechanism=gssapi", /the mechanism 'gssapi' is unknown/],
    ["amqp://host#x", /must be percent-encoded/],
    ["amqp://host?heartbeat=soon", /heartbeat 'soon' is not a number of seconds/],
    [`amqp://${"a,".repeat(100)}a`, /101 hosts: the limit is 100/],
  ];
  for (const [url, words] of mistakes) {
    it(`url - refuses ${url.slice(0, 40)}`, () => {
      assert.throws(() => parseAmqpUrl(url), (error: Error) => {
        assert.ok(error instanceof EndpointError);
        assert.match(error.message, words);
        return true;
      });
    });
  }

  it("url - obeys the parameters of other tools, and names those that it ignores", () => {
    const query =
      "frame_max=8192&channel_max=10&connection_timeout=5000&auth_mechanism=external&auth_mechanism=plain" +
      "&name=worker%201&connection_attempts=3&socket_timeout=1.5&cacertfile=a&verify=verify_none&verify=x";
    const [broker] = parseAmqpUrl(`amqps://host/v?${query}`);
    const { frameMax, channelMax, connectionTimeout, mechanism, connectionName, ignored } = broker!;
    assert.deepEqual([frameMax, channelMax, connectionTimeout, mechanism, connectionName], [
      8192,
      10,
      5000,
      "EXTERNAL",
      "worker 1",
    ]);
    assert.deepEqual(ignored, ["connection_attempts", "socket_timeout", "cacertfile", "verify"]);
    const [other] = parseAmqpUrl("amqp://host?frameMax=0&channelMax=5");
    assert.deepEqual([other!.frameMax, other!.channelMax, other!.ignored], [undefined, 5, undefined]);
  });

  it("url - a password that is not encoded is never taken for a host, and no character of it is shown", () => {
    const passwords = [
      "#QQQQ",
      "QQ#QQ",
      "QQ/QQ",
      "/QQQQ",
      "QQ?QQ",
      "QQ@QQ/QQ",
      "QQ@QQ#QQ",
      "Q:Q/QQ",
      "QQ%QQ",
      "9/QQ",
      "9?QQ",
    ];
    for (const password of passwords) {
      for (const tail of ["@host", "@host:1/v", "@[::1]", "@a,b:2"]) {
        for (const scheme of ["amqp://", "pyamqp://", "amqps://", ""]) {
          const url = `${scheme}me:${password}${tail}`;
          assert.throws(() => parseAmqpUrl(url), (error: Error) => {
            assert.doesNotMatch(
              error.message.replace(/%[0-9A-F]{2}/g, ""),
              /Q|9/,
              `${url}: ${error.message}`,
            );
            assert.match(error.message, /percent-encoded|two hexadecimal digits/);
            return true;
          }, url);
        }
      }
    }
    for (
      const url of ["amqp://me:QQQQ", "me:QQ/QQ", "amqp://me:QQ?x=y", "http://me:QQQQ", "amqp://me@host:QQQ"]
    ) {
      assert.throws(() => parseAmqpUrl(url), (error: Error) => !/Q/.test(error.message), url);
    }
    assert.equal(parseAmqpUrl("amqp://me:Q%23%2F%3F%40Q@host")[0]!.password, "Q#/?@Q");
  });

  it("url - a timeout fits the timers of the runtimes: at most 2^31 - 1 milliseconds", () => {
    assert.equal(
      parseAmqpUrl("amqp://host?connection_timeout=2147483647")[0]!.connectionTimeout,
      2 ** 31 - 1,
    );
    assert.throws(() => parseAmqpUrl("amqp://host?connection_timeout=2147483648"), /connection_timeout/);
  });

  it("url - neither errors nor formatted addresses contain the password", () => {
    for (
      const url of [
        "http://me:secret@host",
        "amqp://me:secret@host:port",
        "amqp://me:sec%ret@host",
        "me:secret@host/a/b",
        "amqp://me:se/cret@host",
        "amqp://me:secret@a,me:secret@b:x",
        "amqp://me:se@cret@host:x",
      ]
    ) {
      assert.throws(() => parseAmqpUrl(url), (error: Error) => !/se.?c.?ret|secret/.test(error.message), url);
    }
    assert.equal(formatBroker(parseAmqpUrl("amqp://me:secret@host/%2Fv")[0]!), "amqp://host:5672/%2Fv");
    assert.equal(formatBroker(parseAmqpUrl("amqps://me:secret@[::1]")[0]!), "amqps://[::1]:5671");
  });

  it("address - a name after the virtual host, the same in each URL of a list", () => {
    const cases: [url: string, name: string | undefined, ...vhosts: string[]][] = [
      ["amqp://host", undefined, "/"],
      ["amqp://host/", undefined, "/"],
      ["amqp://host/shop", undefined, "shop"],
      ["amqp://host//jobs", "jobs", "/"],
      ["amqp://host/a%2Fb/c%2Fd", "c/d", "a/b"],
      ["amqp://one,two//jobs", "jobs", "/", "/"],
      ["amqp://one/a/jobs,amqp://two/b/jobs", "jobs", "a", "b"],
    ];
    for (const [url, name, ...vhosts] of cases) {
      const address = parseAmqpAddress(url);
      assert.deepEqual([address.name, ...address.brokers.map(({ vhost }) => vhost)], [name, ...vhosts], url);
    }
    assert.throws(
      () => parseAmqpAddress("amqp://host/a/b/c"),
      /a virtual host, a queue or an exchange must be/,
    );
    assert.throws(() => parseAmqpAddress("amqp://a//x,amqp://b//y"), /have different names/);
    assert.throws(() => parseAmqpAddress("amqp://a//x%"), /the name has a % without two hexadecimal digits/);
  });

  it("url - the limits of the parameters are exact", () => {
    const cases: [parameter: string, most: number, unit: string][] = [
      ["heartbeat", 65535, "seconds"],
      ["frame_max", 2 ** 31, "bytes"],
      ["channel_max", 65535, "channels"],
      ["channelMax", 65535, "channels"],
      ["connection_timeout", 2 ** 31 - 1, "milliseconds"],
    ];
    const parse = (query: string) => parseAmqpUrl(`amqp://host?${query}`)[0]!;
    for (const [name, most, unit] of cases) {
      parse(`${name}=${most}`);
      for (const value of [`${most + 1}`, "-1", "1.5", "", "12345678901"]) {
        assert.throws(() => parse(`${name}=${value}`), {
          message: new RegExp(`: ${name} '${value}' is not a number of ${unit} \\(try ${name}=\\d+\\)$`),
        });
      }
    }
    assert.equal(parse("frameMax=4096").frameMax, 4096);
    assert.throws(
      () => parse("frameMax=4095"),
      /: frameMax is less than 4096 bytes \(try frameMax=131072\)$/,
    );
    assert.deepEqual([parse("channel_max=0").channelMax, parse("connection_timeout=0").connectionTimeout], [
      undefined,
      undefined,
    ]);
    const { mechanism, ignored } = parse("auth_mechanism=AMQPLAIN&auth_mechanism=Plain");
    assert.deepEqual([mechanism, ignored], ["PLAIN", ["auth_mechanism"]]);
  });
});
