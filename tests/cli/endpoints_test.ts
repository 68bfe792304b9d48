import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { certificate } from "../support/stream_adapters.ts";
import { run, start, test } from "../support/mqcat.ts";

describe("many endpoints", () => {
  test("push - sends to three pullers in turn", async () => {
    const pulls = [0, 1, 2].map(() => start(["pull", ":0", "--transient"]));
    using _first = pulls[0]!;
    using _second = pulls[1]!;
    using _third = pulls[2]!;
    const endpoints = await Promise.all(pulls.map((pull) => pull.readyEndpoint()));
    const push = await run(["push", ...endpoints, "--wait-peers", "3"], { stdin: "1\n2\n3\n4\n5\n6\n7\n" });
    assert.equal(push.code, 0);
    const outputs = await Promise.all(pulls.map(async (pull) => (await pull.exit()).stdout.toString()));
    assert.deepEqual(outputs.sort(), ["1\n4\n7\n", "2\n5\n", "3\n6\n"]);
  });

  test("pull - binds tcp and ipc at the same time, by operands and by -b", async () => {
    using dir = tempDir();
    const ipc = `ipc://${dir.file("a")}`;
    using pull = start(["pull", ":0", "-b", ipc, "-b", `ipc://@${dir.file("b")}`, "-n", "3"]);
    await pull.waitForStderr(/(listening[^]*){3}/);
    const bound = [...pull.stderr.matchAll(/listening on (\S+)/g)].map((match) => match[1]!);
    assert.equal(bound.length, 3);
    for (const endpoint of bound) assert.equal((await run(["push", endpoint, "-D", endpoint])).code, 0);
    const { code, stdout } = await pull.exit();
    assert.deepEqual([code, stdout.toString().trimEnd().split("\n").sort()], [0, [...bound].sort()]);
  });

  test("ws and wss - paths, certificates, and errors in them", async () => {
    using dir = tempDir();
    const { cert, key } = certificate();
    fs.writeFileSync(dir.file("cert"), cert);
    fs.writeFileSync(dir.file("key"), key);
    const server = ["--cert", dir.file("cert"), "--key", dir.file("key")];
    using pull = start([
      "pull",
      "ws://127.0.0.1:0/jobs",
      "-b",
      "wss://localhost:*/jobs",
      ...server,
      "-n",
      "4",
    ]);
    await pull.waitForStderr(/(listening[^]*){2}/);
    const [secret, plain] = [...pull.stderr.matchAll(/listening on (\S+)/g)].map((match) => match[1]!);
    assert.match(plain!, /^ws:\/\/127\.0\.0\.1:[1-9]\d*\/jobs$/);
    assert.match(secret!, /^wss:\/\/localhost:[1-9]\d*\/jobs$/);
    const senders: string[][] = [[plain!], [secret!, "--cacert", dir.file("cert")], [secret!, "-k"], [
      plain!,
      secret!,
      "-k",
    ]];
    for (const sender of senders) {
      const { code, stderr } = await run(["push", ...sender, "-D", "x"]);
      assert.deepEqual([code, stderr], [0, ""]);
    }
    assert.equal((await pull.exit()).stdout.toString(), "x\nx\nx\nx\n");
    const wrong: [string[], number, RegExp][] = [
      [["pull", "wss://127.0.0.1:0"], 2, /without a certificate and its key \(--cert FILE --key FILE\)/],
      [["push", ":1", "-k"], 2, /certificates are for wss:\/\/, and no such endpoint is given/],
      [["push", "ws://127.0.0.1:0/"], 2, /port 0 and '\*' are for binding/],
    ];
    for (const [args, code, words] of wrong) {
      const exit = await run(args);
      assert.equal(exit.code, code, exit.stderr);
      assert.match(exit.stderr, words);
    }
  });

  test("ws - a wrong path is a final error with the server's reason", async () => {
    using pull = start(["pull", "ws://127.0.0.1:0/jobs"]);
    const there = await pull.readyEndpoint();
    const { code, stderr } = await run(["push", there.replace("jobs", "job"), "-D", "x"]);
    assert.equal(code, 4);
    assert.match(stderr, /the server answers 404 Not Found: nothing is at '\/job' here/);
    await pull.waitForStderr(/no handshake with ws:\/\/127\.0\.0\.1: nothing is at '\/job' here/);
  });

  test("@, >, -b and -c choose bind or connect, and each command has a default", async () => {
    using dir = tempDir();
    const endpoint = (name: string) => `ipc://${dir.file(name)}`;
    // Each pair: the arguments of the end that binds, and of the end that connects.
    const pairs: [string[], string[]][] = [
      [["pull", endpoint("1")], ["push", endpoint("1")]],
      [["pull", `@${endpoint("2")}`], ["push", `>${endpoint("2")}`]],
      [["push", `@${endpoint("3")}`], ["pull", `>${endpoint("3")}`]],
      [["push", "-b", endpoint("4")], ["pull", "-c", endpoint("4")]],
      [["push", "--bind", endpoint("5")], ["pull", `--connect=${endpoint("5")}`]],
      [["pub", endpoint("6")], ["sub", endpoint("6")]],
      [["sub", "-b", endpoint("7")], ["pub", "-c", endpoint("7")]],
    ];
    await Promise.all(pairs.map(async (pair) => {
      const programs = pair.map((args) => {
        const sends = args[0]!.startsWith("pu") && args[0] !== "pull";
        return start([...args, ...sends ? ["-D", "x"] : ["-n", "1"]]);
      });
      using _bound = programs[0]!;
      using _connected = programs[1]!;
      assert.match((await programs[0]!.waitForStderr(/listening on (\S+)/))[1]!, /^ipc:/);
      const [bound, connected] = await Promise.all(programs.map((program) => program.exit()));
      assert.deepEqual([bound!.code, connected!.code], [0, 0]);
      assert.equal(`${bound!.stdout}${connected!.stdout}`, "x\n");
      assert.doesNotMatch(connected!.stderr, /listening on/);
    }));
  });

  test("one socket binds and connects at the same time", async () => {
    using sink = start(["pull", ":0", "-n", "2"]);
    using late = start(["push", "@:0", "-c", await sink.readyEndpoint(), "--wait-peers", "2"], {
      stdin: "1\n2\n3\n4\n",
    });
    const other = await run(["pull", "-c", await late.readyEndpoint(), "-n", "2"]);
    assert.equal((await late.exit()).code, 0);
    const lines = `${(await sink.exit()).stdout}${other.stdout}`.trimEnd().split("\n");
    assert.deepEqual(lines.sort(), ["1", "2", "3", "4"]);
  });

  test("sub - receives from several publishers", async () => {
    using one = start(["pub", ":0", "-t", "a"], { stdin: "1\n" });
    using two = start(["pub", ":0", "-t", "b"], { stdin: "2\n" });
    const { stdout } = await run([
      "sub",
      await one.readyEndpoint(),
      await two.readyEndpoint(),
      "-n",
      "2",
      "-K",
      ":",
    ]);
    assert.deepEqual(stdout.toString().trimEnd().split("\n").sort(), ["a:1", "b:2"]);
    assert.deepEqual([(await one.exit()).code, (await two.exit()).code], [0, 0]);
  });

  test("the README's filter: two publishers, one prefix, republished over ipc", async () => {
    using dir = tempDir();
    const feed = `ipc://${dir.file("nasdaq-feed")}`;
    using out = start(["sub", feed, "--transient"]);
    using one = start(["pub", ":0"], { stdin: "NASDAQ:A 1\nNYSE:B 2\n", open: true });
    using two = start(["pub", ":0"], { stdin: "NYSE:C 3\nNASDAQ:D 4\n", open: true });
    using sub = start([
      "sub",
      "-t",
      "NASDAQ",
      await one.readyEndpoint(),
      await two.readyEndpoint(),
      "--transient",
    ]);
    using pub = start(["pub", feed], { open: true });
    await sub.waitForStdout(/(.*\n){2}/);
    one.end();
    two.end();
    pub.write((await sub.exit()).stdout);
    pub.end();
    assert.deepEqual((await out.exit()).stdout.toString().trimEnd().split("\n").sort(), [
      "NASDAQ:A 1",
      "NASDAQ:D 4",
    ]);
    assert.deepEqual([(await pub.exit()).code, (await one.exit()).code, (await two.exit()).code], [0, 0, 0]);
  });
});
