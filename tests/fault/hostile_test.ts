/** Hostile peers: the program continues, reports them, and uses no more memory. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { describe } from "node:test";
import { residentBytes, run, start, test } from "../support/mqcat.ts";
import { bytes, frame, greeting, RawPeer, ready } from "../support/raw_peer.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");

describe("hostile peers", () => {
  test("pull - garbage, silence, port scans and half messages do not affect other peers", async () => {
    using pull = start(["pull", ":0", "-n", "20000"]);
    const endpoint = await pull.readyEndpoint();
    const peers: RawPeer[] = [];
    const dial = async (...parts: Uint8Array[]) => {
      const peer = await RawPeer.dial(endpoint);
      peers.push(peer);
      if (parts.length > 0) peer.send(...parts);
      return peer;
    };
    const attack = async () => {
      for (let i = 0; i < 20; i++) {
        (await dial()).close(); // a port scan
        await dial(); // silence
        await dial(greeting().slice(0, i * 3)); // a greeting that stops
        await dial(randomBytes(20_000)); // noise
        await dial(Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        await dial(greeting(), ready("PUSH"), bytes("02 80 00 00 00 00 00 00 00")); // announces 2^63 bytes
        await dial(greeting(), ready("PUSH"), bytes("02 00 00 00 00 3f ff ff ff"), randomBytes(5000)); // 1 GiB
        await dial(greeting(), ready("PUSH"), bytes("07 05")); // reserved flags
        (await dial(greeting(), ready("PUSH"), frame("half").slice(0, 4))).end();
        (await dial(greeting(), ready("PUB"))).end();
        await dial(greeting(), bytes("06 00 00 00 00 7f ff ff ff")); // a command of 2 GiB
      }
    };
    const [push] = await Promise.all([
      run(["push", endpoint, "--rate", "20000", "--summary"], { stdin: numbers(20_000) }),
      attack(),
    ]);
    assert.equal(push.code, 0, push.stderr);
    assert.ok(residentBytes(pull.pid) < 150e6, `${residentBytes(pull.pid)}`);
    const { code, stdout, stderr } = await pull.exit();
    assert.deepEqual([code, stdout.toString()], [0, numbers(20_000)]);
    // One line for each kind of error, not for each peer.
    const said = stderr.trimEnd().split("\n");
    assert.ok(said.length > 5 && said.length < 100, stderr);
    for (const line of said) assert.match(line, /^mqcat: pull: [^A-Z ]/);
    assert.doesNotMatch(stderr, /\n {4}at /);
    for (const peer of peers) peer.close();
  });

  test("pull --transient - a peer that sends everything and its end in one segment", async () => {
    using pull = start(["pull", ":0", "--transient"]);
    const peer = await RawPeer.dial(await pull.readyEndpoint());
    peer.send(greeting(), ready("PUSH"), frame("first"), frame("second"));
    peer.end();
    const { code, stdout } = await pull.exit();
    assert.deepEqual([code, stdout.toString()], [0, "first\nsecond\n"]);
    peer.close();
  });

  test("pull - more data after the handshake than fits in one read arrives in order", async () => {
    using pull = start(["pull", ":0", "--transient"]);
    const peer = await RawPeer.dial(await pull.readyEndpoint());
    const bodies = Array.from({ length: 400 }, (_, i) => `${i}`.padEnd(1000, "."));
    peer.send(greeting(), ready("PUSH"), ...bodies.map((body) => frame(body)));
    peer.end();
    const { code, stdout } = await pull.exit();
    assert.deepEqual([code, stdout.toString()], [0, bodies.map((body) => `${body}\n`).join("")]);
    peer.close();
  });

  test("rep - requests without an envelope and a peer that never reads do not affect other peers", async () => {
    using rep = start(["rep", ":0", "--echo"]);
    const endpoint = await rep.readyEndpoint();
    const careless = await RawPeer.dial(endpoint);
    careless.send(greeting(), ready("REQ"), frame("no envelope"), frame("nor here"));
    const mute = await RawPeer.dial(endpoint);
    mute.send(greeting(), ready("DEALER"));
    for (let i = 0; i < 200; i++) mute.send(frame("", 1), frame(randomBytes(10_000)));
    const { code, stdout } = await run(["req", endpoint], { stdin: numbers(100) });
    assert.deepEqual([code, stdout.toString()], [0, numbers(100)]);
    assert.ok(residentBytes(rep.pid) < 150e6);
    careless.close();
    mute.close();
    rep.kill();
    assert.equal((await rep.exit()).code, 143);
  });

  test("pub - a subscriber with too many topics is disconnected, and the others stay", async () => {
    using pub = start(["pub", ":0", "--wait-peers", "2"], { stdin: numbers(1000) });
    const endpoint = await pub.readyEndpoint();
    const greedy = await RawPeer.dial(endpoint);
    greedy.send(greeting(), ready("SUB"));
    const subscribe = (topic: Uint8Array) => Buffer.concat([bytes("09 'SUBSCRIBE'"), topic]);
    const pieces: Uint8Array[] = [];
    for (let i = 0; i < 70_000; i++) pieces.push(frame(subscribe(randomBytes(240)), 4));
    greedy.send(...pieces);
    await pub.waitForStderr(/more than \d+ subscriptions, or \d+ bytes of topics/);
    using one = start(["sub", endpoint, "--transient"]);
    using two = start(["sub", endpoint, "--transient"]);
    assert.equal((await one.exit()).stdout.toString(), numbers(1000));
    assert.equal((await two.exit()).stdout.toString(), numbers(1000));
    assert.equal((await pub.exit()).code, 0);
    greedy.close();
  });
});
