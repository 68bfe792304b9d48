/** What the URLs of all brokers have in common, at its limits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EndpointError } from "../../../lib/errors.ts";
import { formatHost, splitBrokerUrls, type UrlKind } from "../../../lib/link/broker_url.ts";

const KIND: UrlKind = {
  scheme: "mq",
  schemes: { mq: "tcp", mqs: "tls" },
  names: "mq or mqs",
  ports: { tcp: 1234, tls: 4321 },
  example: "mq://host",
};

/** Hosts and other parts of each URL. */
const parse = (text: string, kind = KIND) =>
  splitBrokerUrls(text, kind).map(({ endpoints, user, password, path, query }) =>
    [
      endpoints.map((endpoint) => `${endpoint.scheme} ${formatHost(endpoint)}`).join(),
      ...[user, password, path, query].map((part) => part ?? "-"),
    ].join(" ")
  );

describe("URLs of brokers", () => {
  it("parts - hosts, ports, users, paths and queries, with their defaults", () => {
    const cases: [text: string, expected: string[]][] = [
      ["mq://", ["tcp 127.0.0.1:1234 - - - -"]],
      ["", ["tcp 127.0.0.1:1234 - - - -"]],
      ["mqs://h", ["tls h:4321 - - - -"]],
      ["MQS://h:1", ["tls h:1 - - - -"]],
      ["h:65535", ["tcp h:65535 - - - -"]],
      ["mq://[::1]", ["tcp [::1]:1234 - - - -"]],
      ["mq://[::1]:5", ["tcp [::1]:5 - - - -"]],
      ["mq://:5", ["tcp 127.0.0.1:5 - - - -"]],
      ["mq://a,b:2,c/p", ["tcp a:1234,tcp b:2,tcp c:1234 - - p -"]],
      ["mq://a,mqs://b,c", ["tcp a:1234 - - - -", "tls b:4321,tls c:4321 - - - -"]],
      ["mq://u@h", ["tcp h:1234 u - - -"]],
      ["mq://u:p@h/", ["tcp h:1234 u p  -"]],
      ["mq://@h", ["tcp h:1234  - - -"]],
      ["mq://:@h", ["tcp h:1234   - -"]],
      ["mq://u%40:%3A@h/a%2Fb/c?q=1", ["tcp h:1234 u@ : a%2Fb/c q=1"]],
      ["mq://h?q", ["tcp h:1234 - - - q"]],
      ["mq://u:a:b@h", ["tcp h:1234 u a:b - -"]],
    ];
    for (const [text, expected] of cases) assert.deepEqual(parse(text), expected, text);
    assert.deepEqual(parse("mq://h/a/#", { ...KIND, hashInPath: true }), ["tcp h:1234 - - a/# -"]);
  });

  it("mistakes - are explained, without the password", () => {
    const cases: [text: string, what: RegExp][] = [
      ["http://h", /the scheme 'http' is not mq or mqs/],
      ["mq://h:0", /0 is not a port/],
      ["mq://h:65536", /65536 is not a port/],
      ["mq://h:123456", /is not a host and a port/],
      ["mq://h:x", /'h:…' is not a host and a port \(try mq:\/\/host\)/],
      ["mq://::1", /an IPv6 address needs brackets \(try \[::1\]:1234\)/],
      ["mqs://1:2:3", /an IPv6 address needs brackets \(try \[::1\]:4321\)/],
      ["mq://a b", /'a b' is not a host and a port \(try mq:\/\/host\)/],
      ["mq://a,,b", /a host of the list is empty/],
      ["mq://a,", /a host of the list is empty/],
      ["mq://h/a#b", /must be percent-encoded/],
      ["mq://u:se#cret@h", /must be percent-encoded/],
      ["mq://u:se/cret@h", /must be percent-encoded/],
      ["mq://u:%zz@h", /the password has a % without two/],
      ["mq://%zz@h", /the user has a % without two/],
    ];
    for (const [text, what] of cases) {
      assert.throws(() => parse(text), (error: unknown) => {
        assert.ok(error instanceof EndpointError, text);
        assert.match(error.message, what, text);
        assert.doesNotMatch(error.message, /cret|zz/, text);
        return true;
      });
    }
    assert.throws(() => parse("mqs://u:secret@h:0"), {
      message: "Cannot use the URL 'mqs://…@h:0': 0 is not a port (try a number from 1 to 65535)",
    });
  });

  it("hosts - a list has at most 100, in one URL or in several", () => {
    const hosts = (count: number, start: string) =>
      Array.from({ length: count }, (_, i) => `h${start}${i}`).join();
    assert.equal(splitBrokerUrls(`mq://${hosts(100, "")}`, KIND)[0]!.endpoints.length, 100);
    assert.equal(splitBrokerUrls(`mq://${hosts(60, "")},mqs://${hosts(40, "x")}`, KIND).length, 2);
    for (const text of [`mq://${hosts(101, "")}`, `mq://${hosts(60, "")},mqs://${hosts(41, "x")}`]) {
      assert.throws(() => splitBrokerUrls(text, KIND), /it names 101 hosts: the limit is 100/);
    }
  });
});
