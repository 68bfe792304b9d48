/** The commands that send and receive at the same time: pair, dealer, router, xpub, xsub, client and server. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { frame, RawPeer } from "../support/raw_peer.ts";
import { PATIENCE, run, start, summaryOf, test } from "../support/mqcat.ts";

describe("conversations", () => {
  test("pair - sends and receives at the same time, and ^D ends it after everything is sent", async () => {
    using ours = start(["pair", "@:0"], { open: true });
    using theirs = start(["pair", await ours.readyEndpoint(), "--transient"], { open: true });
    ours.write("one\n");
    theirs.write("a\nb\n");
    await ours.waitForStdout(/^a\nb\n$/);
    await theirs.waitForStdout(/^one\n$/);
    ours.write("last");
    ours.end();
    assert.equal((await ours.exit()).code, 0);
    theirs.end();
    const { code, stdout } = await theirs.exit();
    assert.deepEqual([code, stdout.toString()], [0, "one\nlast\n"]);
  });

  test("pair - refuses a second peer with an error, and keeps the first one", async () => {
    using bound = start(["pair", "@:0", "-n", "1"], { open: true });
    const endpoint = await bound.readyEndpoint();
    using first = start(["pair", endpoint, "-v"], { open: true });
    await first.waitForStderr(/connected: .*PAIR/);
    using second = start(["pair", endpoint], { open: true });
    await bound.waitForStderr(/no handshake with .*: a PAIR socket talks to one peer/);
    first.write("hello\n");
    first.end();
    const { code, stdout } = await bound.exit();
    assert.deepEqual([code, stdout.toString()], [0, "hello\n"]);
    second.kill();
  });

  test("pair - with stdin from /dev/null it only receives, and keeps running", async () => {
    using bound = start(["pair", "@:0"]);
    const { code } = await run(["pair", await bound.readyEndpoint()], { stdin: "x\n" });
    assert.equal(code, 0);
    await bound.waitForStdout(/^x\n$/);
    assert.equal(bound.code, undefined);
    bound.kill("SIGINT");
    assert.equal((await bound.exit()).code, 130);
  });

  test("dealer - -w limits the wait for a peer and for a reply", async () => {
    const alone = await run(["dealer", "@:0", "-D", "anybody?", "-w", "300ms"]);
    assert.match(alone.stderr, /1 message could not be delivered/);
    assert.equal(alone.code, 3);
    using other = start(["dealer", "@:0"]);
    const asked = await run([
      "dealer",
      await other.readyEndpoint(),
      "-D",
      "anybody?",
      "-w",
      "300ms",
      "-n",
      "1",
    ]);
    assert.match(asked.stderr, /no message arrived for 0\.3 s/);
    assert.equal(asked.code, 3);
    other.kill();
  });

  test("dealer - delivers every message of a large input to a router", async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i}`).join("\n") + "\n";
    using router = start(["router", ":0", "-J", "--transient", "--summary"], { open: true });
    const endpoint = await router.readyEndpoint();
    const dealer = await run(["dealer", endpoint, "--identity", "d"], { stdin: lines });
    assert.equal(dealer.code, 0, dealer.stderr);
    const { stdout, stderr } = await router.exit();
    const bodies = stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.equal(bodies.map(({ body }) => `${body}\n`).join(""), lines);
    assert.ok(bodies.every(({ routing_id }) => routing_id === "d"));
    assert.equal(summaryOf(stderr)["received"], 20_000);
  });

  test("router - with -J accepts the records that it prints, frame by frame", async () => {
    using router = start(["router", ":0", "-J", "--transient"], { open: true });
    const endpoint = await router.readyEndpoint();
    const args = ["-J", "--identity", "0x0102", "-n", "1"];
    using dealer = start(["dealer", endpoint, ...args], { open: true });
    dealer.write('{"parts_base64":["","/w==","AAA="]}\n');
    const [record] = await router.waitForStdout(/.+\n/);
    assert.deepEqual(JSON.parse(record!).routing_id, "0x0102");
    router.write(record!);
    const { stdout } = await dealer.exit();
    assert.deepEqual(JSON.parse(stdout.toString()).parts_base64, ["", "/w==", "AAA="]);
  });

  test("router - warns that lines cannot distinguish clients of a proxy", async () => {
    const nested = '{"parts":["a client","","hello"]}\n';
    for (const [args, warned] of [[[], true], [["-J"], false]] as const) {
      using router = start(["router", ":0", "-n", "1", ...args]);
      await run(["dealer", await router.readyEndpoint(), "-J"], { stdin: nested });
      assert.equal(/requests come through a proxy/.test((await router.exit()).stderr), warned);
    }
  });

  test("rep, router - report undelivered replies at the end, and exit with 5", async () => {
    using dir = tempDir();
    for (const [name, how] of [["rep", ["--echo"]], ["router", ["--exec", "cat"]]] as const) {
      // A Unix socket has small buffers, whatever the system settings are.
      const path = dir.file(name);
      using program = start([name, `@ipc://${path}`, ...how, "-n", "1", "--linger", "100ms", "--summary"]);
      await program.waitForStderr(/listening/);
      const socket = net.connect(path);
      using peer = new RawPeer(socket);
      await peer.greet("REQ");
      socket.pause();
      peer.send(frame("", 1), frame("x".repeat(4_000_000)));
      const { code, stderr } = await program.exit();
      assert.match(stderr, /1 message could not be delivered/);
      assert.deepEqual([code, summaryOf(stderr)["unsent"]], [5, 1], name);
    }
  });

  test("router - exits with 1 for input without a routing id, and names the message", async () => {
    const { code, stderr } = await run(["router", ":0"], { stdin: "0xgg\thello\n" });
    assert.match(stderr, /message 1 of the input: expected pairs of hexadecimal digits/);
    assert.equal(code, 1);
    const plain = await run(["router", ":0"], { stdin: "hello\n" });
    assert.match(plain.stderr, /message 1 of the input has no routing id/);
    const record = await run(["router", ":0", "-J"], { stdin: '{"body":"x"}\n' });
    assert.match(record.stderr, /line 1 of the input is not a JSON record: it has no member routing_id/);
  });

  test("router - drops, counts and reports a message for an unknown routing id; --mandatory exits with 4", async () => {
    const dropped = await run(["router", ":0", "--summary", "-D", "unknown\thello"]);
    assert.match(dropped.stderr, /no peer has the routing id 'unknown'/);
    assert.deepEqual([dropped.code, summaryOf(dropped.stderr)["dropped"]], [5, 1]);
    const refused = await run(["router", ":0", "--mandatory", "-D", "unknown\thello"]);
    assert.match(refused.stderr, /no peer has the routing id 'unknown'/);
    assert.equal(refused.code, 4);
  });

  test("router - a second peer with a taken routing id is refused in words at both ends, and exits with 4", async () => {
    using router = start(["router", "@:0"]);
    const endpoint = await router.readyEndpoint();
    using first = start(["dealer", endpoint, "--identity", "A", "-v"], { open: true });
    await first.waitForStderr(/connected/);
    const second = await run(["dealer", endpoint, "--identity", "A", "-D", "two", "--summary"]);
    assert.equal(second.code, 4, second.stderr);
    assert.match(second.stderr, /another peer already has the routing id 'A'/);
    assert.match(second.stderr, /1 message could not be delivered/);
    const { sent, unsent } = summaryOf(second.stderr);
    assert.deepEqual([sent, unsent], [0, 1]);
    await router.waitForStderr(/no handshake with .*another peer already has the routing id 'A'/);
    first.write("one\n");
    await router.waitForStdout(/^A\tone\n/);
    assert.equal(router.text, "A\tone\n");
  });

  test("router - --handover warns when living peers take a routing id from each other", async () => {
    using router = start(["router", "@:0", "--handover"]);
    const endpoint = await router.readyEndpoint();
    using _first = start(["dealer", endpoint, "--identity", "A"], { open: true });
    using _second = start(["dealer", endpoint, "--identity", "A"], { open: true });
    await router.waitForStderr(/several peers take the routing id 'A' from each other/);
  });

  test("router - --exec has the routing id, and answers requests and plain messages", async () => {
    using router = start(["router", ":0", "--exec", "echo $MQCAT_ROUTING_ID says $(cat)", "-n", "2"]);
    const endpoint = await router.readyEndpoint();
    const req = await run(["req", endpoint, "--identity", "asker", "--correlate", "-D", "hello"]);
    assert.equal(req.stdout.toString(), "asker says hello\n");
    const dealer = await run(["dealer", endpoint, "--identity", "dealer", "-D", "hi", "-n", "1"]);
    assert.equal(dealer.stdout.toString(), "dealer says hi\n");
    assert.equal((await router.exit()).code, 0);
  });

  test("server - sends a reply only to the client whose number it has", async () => {
    using server = start(["server", ":0", "--transient"], { open: true });
    const endpoint = await server.readyEndpoint();
    using quiet = start(["client", endpoint, "-v"], { open: true });
    await quiet.waitForStderr(/connected/);
    using client = start(["client", endpoint, "-n", "1"], { open: true });
    client.write("hello\n");
    const [, id] = await server.waitForStdout(/^(0x[0-9a-f]{8})\thello\n/);
    server.write(`${id}\tworld\n`);
    assert.equal((await client.exit()).stdout.toString(), "world\n");
    assert.equal(quiet.text, "");
    quiet.kill();
  });

  test("req - --relaxed continues after a request without a reply, and exits with 5", async () => {
    using dir = tempDir();
    const script = `if [ "$(cat)" = lost ]; then until [ -e ${
      dir.file("go")
    } ]; do sleep 0.05; done; fi; echo late`;
    using rep = start(["rep", ":0", "-j", "2", "--exec", script]);
    const args = ["--correlate", "--relaxed", "-w", "1s", "-D", "lost", "-D", "found"];
    const { code, stdout, stderr } = await run(["req", await rep.readyEndpoint(), ...args]);
    assert.deepEqual([code, stdout.toString()], [5, "late\n"], stderr);
    assert.match(stderr, /1 message had no reply/);
    await run(["completion", "bash"], { stdout: dir.file("go") });
    rep.kill();
  });

  test("dish, radio - a missing group is a usage error", async () => {
    assert.match((await run(["dish", ":1"])).stderr, /join one with -g/);
    const { code, stderr } = await run(["radio", ":1", "-D", "x"]);
    assert.match(stderr, /name one with -g/);
    assert.equal(code, 2);
    const long = await run(["radio", ":0", "-D", "x", "-g", "g".repeat(256)]);
    assert.match(long.stderr, /a group of 256 bytes: expected at most 255/);
    assert.equal(long.code, 2);
  });

  test("sub - --conflate runs a slow command with the latest message", async () => {
    using dir = tempDir();
    const first = `[ -e ${dir.file("go")} ] || { touch ${dir.file("began")}; until [ -e ${
      dir.file("go")
    } ]; do sleep 0.05; done; }; cat; echo`;
    using sub = start(["sub", "@:0", "--conflate", "--exec", first, "-n", "2"]);
    using pub = start(["pub", `>${await sub.readyEndpoint()}`], { open: true });
    pub.write("1\n");
    await waitFor(() => fs.existsSync(dir.file("began")), PATIENCE, "the first command");
    pub.write("2\n3\n4\n");
    pub.end();
    assert.equal((await pub.exit()).code, 0);
    fs.writeFileSync(dir.file("go"), "");
    assert.equal((await sub.exit()).stdout.toString(), "1\n4\n");
  });

  test("router, client, radio - messages before a malformed one are sent, and the exit code is 1", async () => {
    using dealer = start(["dealer", "@:0", "--identity", "alice", "-n", "2"], { open: true });
    const endpoint = await dealer.readyEndpoint();
    const stdin = "alice\tone\nalice\ttwo\nnobody\n";
    const router = await run(["router", `>${endpoint}`, "--wait-peers", "1", "--summary"], { stdin });
    assert.match(router.stderr, /message 3 of the input has no routing id/);
    assert.deepEqual([router.code, summaryOf(router.stderr).sent], [1, 2]);
    assert.equal((await dealer.exit()).stdout.toString(), "one\ntwo\n");

    using server = start(["server", ":0", "-f", "%s\\n", "-n", "1"], { open: true });
    const client = await run(["client", await server.readyEndpoint(), "-J"], {
      stdin: '{"body":"one"}\n{"parts":["a","b"]}\n',
    });
    assert.match(client.stderr, /cannot send a CLIENT message of 2 frames: expected one/);
    assert.equal(client.code, 1);
    assert.equal((await server.exit()).stdout.toString(), "one\n");

    const radio = await run(["radio", ":0", "--wait-peers", "0", "-K", " "], { stdin: "news one\nalone\n" });
    assert.match(radio.stderr, /cannot send a RADIO message of 1 frame: expected two/);
    assert.equal(radio.code, 1);
  });

  test("router -J - a topic is sent after the routing id, before the body", async () => {
    using dealer = start(["dealer", "@:0", "--identity", "alice", "-n", "1", "-J"], { open: true });
    const endpoint = await dealer.readyEndpoint();
    const { code } = await run(["router", `>${endpoint}`, "--wait-peers", "1", "-J"], {
      stdin: '{"routing_id":"alice","topic":"news","body":"one"}\n',
    });
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse((await dealer.exit()).stdout.toString()).parts, ["news", "one"]);
  });
});
