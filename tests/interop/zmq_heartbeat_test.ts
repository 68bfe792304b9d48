/** libzmq's heartbeats: answered on every idle connection, and never delivered as messages. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import net from "node:net";
import { describe } from "node:test";
import { Pub, Pull, Push, Rep, Req, type SocketOptions, Sub } from "../../mod.ts";
import { waitFor } from "../support/helpers.ts";
import { scoped, SocketLog, texts } from "../support/sockets.ts";
import { hex, sharedPeer, test, ZmqPeer } from "../support/zmq_peer.ts";

const HEARTBEAT = { HEARTBEAT_IVL: 30, HEARTBEAT_TIMEOUT: 150, HEARTBEAT_TTL: 300 };
/** This number of heartbeats takes at least three times the timeout. */
const BEATS = 15;

/** Forwards a connection, and counts the heartbeats. */
async function wiretap(target: string): Promise<
  AsyncDisposable & { readonly endpoint: string; count(command: string): number }
> {
  const seen: Buffer[] = [];
  const sockets: net.Socket[] = [];
  const server = net.createServer((near) => {
    const far = net.connect(Number(target.split(":").at(-1)), "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.push(from);
      from.on("data", (chunk) => {
        seen.push(chunk);
        to.write(chunk);
      });
      from.on("error", () => {});
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    endpoint: `tcp://127.0.0.1:${port}`,
    count: (command) => Buffer.concat(seen).toString("latin1").split(`\x04${command}`).length - 1,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe("libzmq heartbeats", () => {
  const peer = sharedPeer();

  const sockets = [
    ["PUSH", "PULL", (options: SocketOptions) => new Push(options)],
    ["PUB", "SUB", (options: SocketOptions) => new Pub(options)],
    ["REP", "REQ", (options: SocketOptions) => new Rep(options)],
    ["REQ", "REP", (options: SocketOptions) => new Req(options)],
  ] as const;
  for (const [ours, theirs, make] of sockets) {
    test(`${ours} - an idle connection outlives a ${theirs}'s heartbeat timeout`, async () => {
      const log = new SocketLog();
      await using socket = scoped(make({ onEvent: log.onEvent }));
      await using tap = await wiretap(await socket.bind("tcp://127.0.0.1:0"));
      await using beats = await peer.socket(theirs, HEARTBEAT);
      await beats.connect(tap.endpoint);
      await waitFor(() => tap.count("PONG") >= BEATS);
      assert.ok(tap.count("PING") - tap.count("PONG") <= 1);
      assert.equal(log.of("connected").length, 1);
      assert.deepEqual(log.of("disconnected"), []);
    });
  }

  test("pull - a PING between messages is not delivered", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    await using push = await peer.socket("PUSH", HEARTBEAT);
    await using tap = await wiretap(await push.bind("tcp://127.0.0.1:0"));
    pull.connect(tap.endpoint);
    for (let round = 1; round <= 3; round++) {
      await push.send(hex(`first ${round}`), "", hex("last"));
      assert.deepEqual(texts(await pull.receive()), [`first ${round}`, "", "last"]);
      await waitFor(() => tap.count("PONG") >= 6 * round);
    }
    assert.equal(log.of("connected").length, 1);
    assert.deepEqual(log.of("disconnected"), []);
  });

  test("sub - a PING between messages is not delivered", async () => {
    const log = new SocketLog();
    await using sub = scoped(new Sub({ onEvent: log.onEvent }));
    sub.subscribe("");
    await using pub = await peer.socket("XPUB", HEARTBEAT);
    await using tap = await wiretap(await pub.bind("tcp://127.0.0.1:0"));
    sub.connect(tap.endpoint);
    assert.deepEqual(await pub.recv(), ["01"]);
    await waitFor(() => tap.count("PONG") >= BEATS);
    await pub.send("");
    await pub.send(hex("PING"));
    assert.deepEqual(texts(await sub.receive()), [""]);
    assert.deepEqual(texts(await sub.receive()), ["PING"]);
    assert.deepEqual(log.of("disconnected"), []);
  });

  test("ours - libzmq answers our PINGs with a time to live, and the connection stays", async () => {
    const log = new SocketLog();
    await using push = scoped(new Push({ heartbeat: { interval: 20, timeout: 5000 }, onEvent: log.onEvent }));
    await using tap = await wiretap(await push.bind("tcp://127.0.0.1:0"));
    await using pull = await peer.socket("PULL");
    await pull.connect(tap.endpoint);
    await waitFor(() => tap.count("PONG") >= 5);
    await push.send("alive");
    assert.deepEqual(await pull.recv(), [hex("alive")]);
    assert.equal(log.of("disconnected").length, 0);
  });

  test("ours - a stopped libzmq is detected, and its messages go to another peer", async () => {
    const log = new SocketLog();
    await using push = scoped(new Push({ heartbeat: { interval: 50 }, onEvent: log.onEvent }));
    const endpoint = await push.bind("tcp://127.0.0.1:0");
    await using doomed = await ZmqPeer.start();
    const pull = await doomed.socket("PULL");
    await pull.connect(endpoint);
    await log.until("connected");
    // Like a host without power: no connection is closed, and nothing answers.
    doomed.stop();
    assert.match(`${(await log.until("disconnected")).error}`, /sent nothing for/);
    await using other = await peer.socket("PULL");
    await other.connect(endpoint);
    await push.send("for the living");
    assert.deepEqual(await other.recv(), [hex("for the living")]);
    await doomed.kill();
  });
});
