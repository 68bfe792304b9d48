import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EndpointError } from "../../../lib/errors.ts";
import { type Endpoint, formatEndpoint, isLoopback, parseEndpoint } from "../../../lib/transport/endpoint.ts";

/** What a person types, what it means, and how we write it back. */
const GOOD: [text: string, endpoint: Endpoint, long: string][] = [
  [":5555", { scheme: "tcp", host: "127.0.0.1", port: 5555 }, "tcp://127.0.0.1:5555"],
  [":*", { scheme: "tcp", host: "127.0.0.1", port: 0 }, "tcp://127.0.0.1:0"],
  ["feeds.example:80", { scheme: "tcp", host: "feeds.example", port: 80 }, "tcp://feeds.example:80"],
  ["*:5555", { scheme: "tcp", host: "*", port: 5555 }, "tcp://*:5555"],
  ["[::1]:5555", { scheme: "tcp", host: "::1", port: 5555 }, "tcp://[::1]:5555"],
  ["tcp://127.0.0.1:5555", { scheme: "tcp", host: "127.0.0.1", port: 5555 }, "tcp://127.0.0.1:5555"],
  ["tcp://:5555", { scheme: "tcp", host: "127.0.0.1", port: 5555 }, "tcp://127.0.0.1:5555"],
  ["tcp://localhost:0", { scheme: "tcp", host: "localhost", port: 0 }, "tcp://localhost:0"],
  ["tcp://*:*", { scheme: "tcp", host: "*", port: 0 }, "tcp://*:0"],
  ["tcp://h:65535", { scheme: "tcp", host: "h", port: 65535 }, "tcp://h:65535"],
  ["tcp://[::]:1", { scheme: "tcp", host: "::", port: 1 }, "tcp://[::]:1"],
  ["tcp://[fe80::1%eth0]:1", { scheme: "tcp", host: "fe80::1%eth0", port: 1 }, "tcp://[fe80::1%eth0]:1"],
  ["tls://[2001:db8::7]:443", { scheme: "tls", host: "2001:db8::7", port: 443 }, "tls://[2001:db8::7]:443"],
  ["udp://239.0.0.1:9999", { scheme: "udp", host: "239.0.0.1", port: 9999 }, "udp://239.0.0.1:9999"],
  [
    "udp://eth0;239.0.0.1:9999",
    { scheme: "udp", source: { host: "eth0", port: 0 }, host: "239.0.0.1", port: 9999 },
    "udp://eth0;239.0.0.1:9999",
  ],
  [
    "udp://[fe80::1];[ff02::1]:9999",
    { scheme: "udp", source: { host: "fe80::1", port: 0 }, host: "ff02::1", port: 9999 },
    "udp://[fe80::1];[ff02::1]:9999",
  ],
  [
    "tcp://192.168.1.17:5555;192.168.1.1:5556",
    { scheme: "tcp", source: { host: "192.168.1.17", port: 5555 }, host: "192.168.1.1", port: 5556 },
    "tcp://192.168.1.17:5555;192.168.1.1:5556",
  ],
  [
    "tcp://eth0:*;feeds.example:80",
    { scheme: "tcp", source: { host: "eth0", port: 0 }, host: "feeds.example", port: 80 },
    "tcp://eth0:0;feeds.example:80",
  ],
  [
    "tcp://[::1];[::2]:80",
    { scheme: "tcp", source: { host: "::1", port: 0 }, host: "::2", port: 80 },
    "tcp://[::1]:0;[::2]:80",
  ],
  ["ws://h:80/feed", { scheme: "ws", host: "h", port: 80, path: "/feed" }, "ws://h:80/feed"],
  ["ws://:5555", { scheme: "ws", host: "127.0.0.1", port: 5555, path: "/" }, "ws://127.0.0.1:5555/"],
  ["ws://*:*/a/b?c=d", { scheme: "ws", host: "*", port: 0, path: "/a/b?c=d" }, "ws://*:0/a/b?c=d"],
  ["ws://h/feed:1", { scheme: "ws", host: "h", port: 80, path: "/feed:1" }, "ws://h:80/feed:1"],
  ["wss://[::1]/", { scheme: "wss", host: "::1", port: 443, path: "/" }, "wss://[::1]:443/"],
  ["ipc://*", { scheme: "ipc", path: "*" }, "ipc://*"],
  ["ipc:///tmp/feed", { scheme: "ipc", path: "/tmp/feed" }, "ipc:///tmp/feed"],
  ["ipc://feed.sock", { scheme: "ipc", path: "feed.sock" }, "ipc://feed.sock"],
  ["ipc://@feed", { scheme: "ipc", path: "@feed" }, "ipc://@feed"],
  ["ipc:///tmp/a:b c://d", { scheme: "ipc", path: "/tmp/a:b c://d" }, "ipc:///tmp/a:b c://d"],
  ["unix:///tmp/feed", { scheme: "unix", path: "/tmp/feed" }, "unix:///tmp/feed"],
  ["inproc://work", { scheme: "inproc", name: "work" }, "inproc://work"],
  ["inproc://a/b:1", { scheme: "inproc", name: "a/b:1" }, "inproc://a/b:1"],
  [`ipc://${"p".repeat(107)}`, { scheme: "ipc", path: "p".repeat(107) }, `ipc://${"p".repeat(107)}`],
];

/** What a person types, and the exact mistake and remedy. */
const BAD: [text: string, words: string][] = [
  ["", "it is empty (try :5555 or tcp://127.0.0.1:5555)"],
  ["localhost", "it has neither a transport nor a port (try localhost:5555)"],
  ["5555", "it has neither a transport nor a port (try :5555)"],
  ["/tmp/feed", "it has neither a transport nor a port (try ipc:///tmp/feed)"],
  ["./feed", "it has neither a transport nor a port (try ipc://./feed)"],
  ["/tmp/a:b", "a path needs a transport (try ipc:///tmp/a:b)"],
  ["http://h:80", "there is no transport 'http' (try tcp://127.0.0.1:5555 or ipc:///tmp/feed)"],
  ["tcp:h:80", "'://' is missing after 'tcp' (try tcp://h:80)"],
  ["TCP:/h:80", "'://' is missing after 'TCP' (try tcp://h:80)"],
  [" ", "it is empty (try :5555 or tcp://127.0.0.1:5555)"],
  ["://h:80", "there is no transport '' (try tcp://127.0.0.1:5555 or ipc:///tmp/feed)"],
  ["tcp://", "the port is missing (try tcp://127.0.0.1:5555)"],
  ["tcp://h", "the port is missing (try tcp://h:5555)"],
  ["tls://h:", "the port is missing (try tls://h:5555)"],
  ["h:", "the port is missing (try tcp://h:5555)"],
  ["tcp://[::1]", "the port is missing (try tcp://[::1]:5555)"],
  ["tcp://h:http", "'http' is not a port number (try a number from 0 to 65535)"],
  ["tcp://h:-1", "'-1' is not a port number (try a number from 0 to 65535)"],
  ["tcp://h:1.5", "'1.5' is not a port number (try a number from 0 to 65535)"],
  ["tcp://h:80/path", "'80/path' is not a port number (try a number from 0 to 65535)"],
  ["tcp://h:65536", "port 65536 is over 65535 (try a number from 0 to 65535)"],
  [`:${"9".repeat(400)}`, `port ${"9".repeat(400)} is over 65535 (try a number from 0 to 65535)`],
  ["::1", "an IPv6 address needs brackets (try tcp://[::1]:5555)"],
  ["tcp://::1:80", "an IPv6 address needs brackets (try tcp://[::1]:80)"],
  ["tcp://2001:db8::7:80", "an IPv6 address needs brackets (try tcp://[2001:db8::7]:80)"],
  ["tcp://fe80::abcd", "an IPv6 address needs brackets (try tcp://[fe80::abcd]:5555)"],
  ["tcp://[::1:80", "the brackets of the IPv6 address do not match (try tcp://[::1]:80)"],
  ["tcp://::1]:80", "the brackets of the IPv6 address do not match (try tcp://[::1]:80)"],
  ["tcp://[]:80", "'' is not an IPv6 address (try tcp://[::1]:80)"],
  ["tcp://[h]:80", "'h' is not an IPv6 address (try tcp://[::1]:80)"],
  ["tcp://user@h:80", "'user@h' is not a host name (try tcp://127.0.0.1:5555)"],
  ["tcp://a b:80", "'a b' is not a host name (try tcp://127.0.0.1:5555)"],
  ["tcp://h/path", "'h/path' is not a host name (try tcp://127.0.0.1:5555)"],
  ["tcp://;h:80", "the source before ';' is missing (try tcp://h:80)"],
  ["tcp://a;b;c:80", "'b;c' is not a host name (try tcp://127.0.0.1:5555)"],
  ["ws://", "the host is missing (try ws://127.0.0.1:5555/)"],
  ["ws:///feed", "the host is missing (try ws://127.0.0.1:5555/feed)"],
  ["ws://h:80/a b", "the path has characters that need percent-encoding (try ws://h:80/a%20b)"],
  ["wss://h:x/", "'x' is not a port number (try a number from 0 to 65535)"],
  ["ipc://", "the path is missing (try ipc:///tmp/feed)"],
  ["unix://@", "the path is missing (try unix:///tmp/feed)"],
  ["ipc://a\0b", "the path has a NUL byte in it (try ipc:///tmp/feed)"],
  [`ipc://${"p".repeat(108)}`, "the path has 108 bytes and a Unix socket takes 107 (try ipc:///tmp/feed)"],
  [`ipc://${"ü".repeat(54)}`, "the path has 108 bytes and a Unix socket takes 107 (try ipc:///tmp/feed)"],
  ["inproc://", "the name after 'inproc://' is missing (try inproc://work)"],
];

describe("endpoint", () => {
  for (const [text, endpoint, long] of GOOD) {
    it(`endpoint - parses ${text}`, () => {
      assert.deepEqual(parseEndpoint(text), endpoint);
      assert.equal(formatEndpoint(endpoint), long);
      assert.deepEqual(parseEndpoint(long), endpoint, "the long form means the same");
    });
  }

  for (const [text, words] of BAD) {
    it(`endpoint - refuses ${JSON.stringify(text)} with the mistake and the remedy`, () => {
      assert.throws(() => parseEndpoint(text), (error: unknown) => {
        assert.ok(error instanceof EndpointError, String(error));
        assert.equal(error.code, "ERR_ENDPOINT");
        assert.equal(error.message, `Cannot use endpoint '${text}': ${words}`);
        return true;
      });
    });
  }

  for (
    const [text, shown] of [
      ["ampq://guest:s3:cret@h//jobs", "ampq://…@h//jobs"],
      ["tcp://gu@est:/s3cret@h:1", "tcp://…@h:1"],
      ["guest:s3cret@h:5672", "…@h:5672"],
      ["amqp:/guest:s3cret@h", "amqp:/…@h"],
    ] as const
  ) {
    it(`endpoint - shows no password of ${shown}`, () => {
      assert.throws(() => parseEndpoint(text), (error: Error) => {
        assert.match(error.message, /only URLs of brokers have a user and a password/);
        assert.ok(error.message.includes(`'${shown}'`), error.message);
        assert.doesNotMatch(error.message, /s3|cret|guest/);
        return true;
      });
    });
  }

  it("endpoint - every remedy that is an endpoint can be parsed", () => {
    for (const [, words] of BAD) {
      const remedies = /\(try (.*)\)$/.exec(words)![1]!.split(" or ");
      for (const remedy of remedies) {
        if (!remedy.startsWith("a number")) assert.doesNotThrow(() => parseEndpoint(remedy), remedy);
      }
    }
  });

  it("endpoint - loopback addresses, paths and names are loopback", () => {
    for (
      const text of [":1", "localhost:1", "127.9.9.9:1", "[::1]:1", "ipc://@x", "unix:///x", "inproc://x"]
    ) {
      assert.equal(isLoopback(parseEndpoint(text)), true, text);
    }
    for (
      const text of ["*:1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "localhost.evil.org:1"]
    ) {
      assert.equal(isLoopback(parseEndpoint(text)), false, text);
    }
  });

  it("endpoint - a host name that begins like a loopback address is not one", () => {
    assert.equal(isLoopback(parseEndpoint("127.0.0.1.evil.org:1")), false);
  });
});
