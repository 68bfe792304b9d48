import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { type Exit, run, start, type StartOptions, summaryOf, test } from "../support/mqcat.ts";

/** Sends requests to a rep with these options, and ends the rep. */
async function ask(
  rep: readonly string[],
  req: readonly string[],
  requests: StartOptions = {},
  replies: StartOptions = {},
): Promise<{ asked: Exit; answered: Exit }> {
  using service = start(["rep", ":0", ...rep], replies);
  const asked = await run(["req", await service.readyEndpoint(), ...req], requests);
  service.kill("SIGTERM");
  return { asked, answered: await service.exit() };
}

describe("req and rep", () => {
  test("--echo - returns every request byte for byte, and rep prints nothing", async () => {
    const { asked, answered } = await ask(["--echo"], [], { stdin: "a\n\nü\nlast" });
    assert.deepEqual([asked.code, asked.stderr, asked.stdout.toString()], [0, "", "a\n\nü\nlast\n"]);
    assert.deepEqual([answered.code, answered.stdout.length], [143, 0]);
    const blob = Buffer.from([0, 255, 10, 13]);
    const binary = await ask(["--echo"], ["--in", "blob", "--out", "blob"], { stdin: blob });
    assert.deepEqual([...binary.asked.stdout], [...blob]);
  });

  test("--echo - keeps the parts of a message", async () => {
    const { asked } = await ask(["--echo"], ["-J"], { stdin: '{"parts":["a","","b"]}\n' });
    assert.deepEqual(JSON.parse(asked.stdout.toString()).parts, ["a", "", "b"]);
  });

  test("rep -D, -F - send the same reply each time, and print the requests", async () => {
    const { asked, answered } = await ask(["-D", "pong"], [], { stdin: "1\n2\n3\n" });
    assert.equal(asked.stdout.toString(), "pong\npong\npong\n");
    assert.equal(answered.stdout.toString(), "1\n2\n3\n");
    const two = await ask(["-D", "tick", "-D", "tock"], [], { stdin: "1\n2\n3\n" });
    assert.equal(two.asked.stdout.toString(), "tick\ntock\ntick\n");
  });

  test("rep - replies with lines of stdin, each as soon as it is read", async () => {
    using rep = start(["rep", ":0"], { open: true });
    using req = start(["req", await rep.readyEndpoint()], { stdin: "q1\nq2\n" });
    await rep.waitForStdout(/^q1\n$/);
    assert.equal(req.text, "");
    rep.write("r1\n");
    await req.waitForStdout(/^r1\n$/);
    await rep.waitForStdout(/^q1\nq2\n$/);
    rep.write("r2");
    rep.end();
    const { code, stdout } = await req.exit();
    assert.deepEqual([code, stdout.toString()], [0, "r1\nr2\n"]);
    assert.equal((await rep.exit()).code, 0);
  });

  test("rep - ends after the last reply from stdin", async () => {
    using rep = start(["rep", ":0"], { stdin: "only\n" });
    using req = start(["req", await rep.readyEndpoint(), "-w", "20s"], { stdin: "1\n2\n" });
    await req.waitForStdout(/^only\n$/);
    assert.equal((await rep.exit()).code, 0);
    // The second request is still there for the next rep.
    assert.equal(req.code, undefined);
  });

  test("rep --exec - replies with the output, without its last newline", async () => {
    const { asked } = await ask(["--exec", "tr a-z A-Z; echo"], [], { stdin: "a\n\nb c\n" });
    assert.equal(asked.stdout.toString(), "A\n\nB C\n");
    const exact = await ask(["--exec", "echo x", "--in", "blob"], ["-J"], { stdin: '{"body":""}\n' });
    assert.equal(JSON.parse(exact.asked.stdout.toString()).body, "x\n");
    const described = await ask(["--exec", 'echo "$MQCAT_SEQ $MQCAT_SIZE $MQCAT_PARTS"'], [], {
      stdin: "abc\n\n",
    });
    assert.equal(described.asked.stdout.toString(), "1 3 1\n2 0 1\n");
  });

  test("rep --exec - reports a failing command, still sends its output, and exits with 6", async () => {
    using rep = start(["rep", ":0", "-n", "2", "--exec", "read q; echo got $q; [ $q = good ]"]);
    const req = await run(["req", await rep.readyEndpoint()], { stdin: "bad\ngood\n" });
    assert.deepEqual([req.code, req.stdout.toString()], [0, "got bad\ngot good\n"]);
    const { code, stderr } = await rep.exit();
    assert.deepEqual([code, /--exec: message 1: it exited with 1/.test(stderr)], [6, true]);
  });

  test("rep --exec -j - serves several clients at the same time", async () => {
    // Each command waits until the other one is running.
    const exec =
      'touch "$DIR.$MQCAT_SEQ"; while [ ! -e $DIR.1 ] || [ ! -e $DIR.2 ]; do sleep 0.02; done; cat';
    using dir = tempDir();
    using rep = start(["rep", ":0", "--exec", exec, "-j", "2", "-n", "2"], { env: { DIR: dir.file("at") } });
    const endpoint = await rep.readyEndpoint();
    const replies = await Promise.all(["a", "b"].map((body) => run(["req", endpoint, "-D", body])));
    assert.deepEqual(replies.map(({ stdout }) => stdout.toString()), ["a\n", "b\n"]);
    assert.equal((await rep.exit()).code, 0);
  });

  test("rep - two sources of replies are a usage error", async () => {
    const { code, stderr } = await run(["rep", ":0", "--echo", "--exec", "cat", "-D", "x"]);
    assert.equal(code, 2);
    assert.match(stderr, /--echo and --exec and -D or -F are different ways to reply: choose one/);
  });

  test("req - sends the request again to a restarted rep, and loses nothing", async () => {
    using first = start(["rep", ":0"], { open: true });
    const endpoint = await first.readyEndpoint();
    using req = start(["req", endpoint], { stdin: "q1\nq2\n" });
    await first.waitForStdout(/^q1\n$/);
    first.kill("SIGKILL");
    await first.exit();
    await req.waitForStderr(/went away before it replied; asking again/);
    using second = start(["rep", endpoint, "--echo", "-n", "2", "--summary"]);
    const { code, stdout } = await req.exit();
    assert.deepEqual([code, stdout.toString()], [0, "q1\nq2\n"]);
    assert.equal(summaryOf((await second.exit()).stderr)["received"], 2);
  });

  test("req - sends requests to several reps in turn", async () => {
    using one = start(["rep", ":0", "-D", "one"]);
    using two = start(["rep", ":0", "-D", "two"]);
    const endpoints = [await one.readyEndpoint(), await two.readyEndpoint()];
    const { stdout } = await run(["req", ...endpoints, "--wait-peers", "2"], { stdin: "1\n2\n3\n4\n" });
    const replies = stdout.toString().trimEnd().split("\n");
    assert.deepEqual(replies.slice(0, 2).sort(), ["one", "two"]);
    assert.deepEqual(replies.slice(2), replies.slice(0, 2));
  });

  test("rep - can connect to a req that binds", async () => {
    using req = start(["req", "@:0"], { stdin: "q\n" });
    using _rep = start(["rep", `>${await req.readyEndpoint()}`, "--echo"]);
    assert.equal((await req.exit()).stdout.toString(), "q\n");
  });

  test("rep - malformed replies end it with an error, before a request and after the replies before them", async () => {
    for (const good of ["", '{"body":"one"}\n']) {
      using rep = start(["rep", ":0", "-J"], { stdin: `${good}{\n` });
      if (good !== "") {
        const { stdout } = await run(["req", await rep.readyEndpoint(), "-D", "?"]);
        assert.equal(stdout.toString(), "one\n");
      }
      const { code, stderr } = await rep.exit();
      assert.equal(code, 1);
      assert.match(stderr, /^mqcat: rep: line \d of the input is not a JSON record: it is not valid JSON$/m);
      assert.doesNotMatch(stderr, /^ +at /m);
    }
  });

  test("req -n - counts no more requests without a reply than were wanted", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("input"), "x\n".repeat(500_000));
    const input = fs.openSync(dir.file("input"), "r");
    const { stderr } = await run(["req", "@:0", "-n", "2", "-w", "300ms"], { stdinFrom: input });
    fs.closeSync(input);
    assert.match(stderr, /: 2 messages had no reply$/m);
  });
});
