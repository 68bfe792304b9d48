import assert from "node:assert/strict";
import { describe } from "node:test";
import { run, start, test, through } from "../support/mqcat.ts";

const FEED = "NASDAQ:AAPL 1\nNASDAQ:MSFT 2\nNYSE:IBM 3\nNASDAQ\nplain\n";

describe("topics", () => {
  test("sub -t - receives topics with this prefix; several prefixes are alternatives", async () => {
    const pub = start(["pub", ":0", "--wait-peers", "4"], { stdin: FEED });
    using _pub = pub;
    const endpoint = await pub.readyEndpoint();
    const subscribers = [["-t", "NASDAQ"], ["-t", "NYSE", "-t", "pl"], ["-t", ""], ["-t", "nasdaq"]];
    const [nasdaq, two, all, none] = await Promise.all(
      subscribers.map(async (topics) => await run(["sub", endpoint, "--transient", ...topics])),
    );
    assert.equal(nasdaq!.stdout.toString(), "NASDAQ:AAPL 1\nNASDAQ:MSFT 2\nNASDAQ\n");
    assert.equal(two!.stdout.toString(), "NYSE:IBM 3\nplain\n");
    assert.equal(all!.stdout.toString(), FEED);
    assert.equal(none!.stdout.toString(), "");
    assert.equal((await pub.exit()).code, 0);
  });

  test("sub -t - two matching prefixes deliver a message once", async () => {
    const printed = await through(["pub"], ["sub", "-t", "a", "-t", "ab", "-t", "a"], {
      stdin: "abc\nb\na\n",
    });
    assert.equal(printed.toString(), "abc\na\n");
  });

  test("pub -t - sends the topic before each body; sub prints bodies, and with -K topics too", async () => {
    const [bodies, both, json] = await Promise.all([
      through(["pub", "-t", "T"], ["sub"], { stdin: "a\n\nb" }),
      through(["pub", "-t", "T"], ["sub", "-K", ": "], { stdin: "a\n\nb" }),
      through(["pub", "-t", "T"], ["sub", "-f", "%p1/%p2\\n"], { stdin: "a\n\nb" }),
    ]);
    assert.equal(bodies.toString(), "a\n\nb\n");
    assert.equal(both.toString(), "T: a\nT: \nT: b\n");
    assert.equal(json.toString(), "T/a\nT/\nT/b\n");
  });

  test("pub -t '' - sends an empty topic as a frame", async () => {
    const printed = await through(["pub", "-t", ""], ["sub", "-f", "%p1/%p2\\n"], { stdin: "a\n" });
    assert.equal(printed.toString(), "/a\n");
  });

  test("pub -t - applies to -D and -F", async () => {
    const printed = await through(["pub", "-t", "T", "-D", "x"], ["sub", "-t", "T", "-K", "="]);
    assert.equal(printed.toString(), "T=x\n");
  });

  test("pub -K - splits each line at the first separator, and removes it", async () => {
    const stdin = "k1=v1\nk2=\n=v3\nk4=a=b\nnone\n";
    const printed = await through(["pub", "-K", "="], ["sub", "-f", "%t|%s|%p1\\n"], { stdin });
    assert.equal(printed.toString(), "k1|v1|k1\nk2||k2\n|v3|\nk4|a=b|k4\n|none|none\n");
  });

  test("pub -K with -t - uses the topic for lines without the separator", async () => {
    const stdin = "k::v\nplain\nx:y\n";
    const printed = await through(["pub", "-K", "::", "-t", "T"], ["sub", "-K", "|"], { stdin });
    assert.equal(printed.toString(), "k|v\nT|plain\nT|x:y\n");
  });

  test("pub -K, sub -K - print the same lines", async () => {
    const stdin = "a\tb\nc\td\te\n\t\nf\t\n";
    assert.equal((await through(["pub", "-K", "\t"], ["sub", "-K", "\t"], { stdin })).toString(), stdin);
  });

  test("sub -t - compares the prefix with the topic frame only", async () => {
    const printed = await through(["pub", "-K", "="], ["sub", "-t", "ab"], { stdin: "a=b1\nab=2\nabc=3\n" });
    assert.equal(printed.toString(), "2\n3\n");
  });

  test("-K - is a usage error with JSON or when empty", async () => {
    const json = await run(["pub", ":0", "-J", "-K", "="], { stdin: "" });
    assert.deepEqual([json.code, /a JSON record has a member 'topic'/.test(json.stderr)], [2, true]);
    const empty = await run(["pub", ":0", "-K", ""], { stdin: "" });
    assert.deepEqual([empty.code, /--key-separator ''.*must not be empty/.test(empty.stderr)], [2, true]);
  });
});
