/** All patterns against the zeromq package of npm, a newer libzmq under Node. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { Pub, Pull, Push, Rep, Req, Sub } from "../../mod.ts";
import { installed, requirePeer, waitFor } from "../helpers.ts";
import { numbers, scoped, texts } from "../sockets.ts";
import { links, linksDir, MANY, MESSAGES } from "./zmq_links.ts";
import { bytesOf, told, ZmqPeer } from "./zmq_peer.ts";

const SCRIPT = fileURLToPath(new URL("./peers/zmq_peer.mjs", import.meta.url));
const dir = linksDir();

/** Installs the package in a folder of its own; false without npm or a registry. */
function install(): boolean {
  if (!installed("npm") || !installed("node")) return false;
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=15000"];
  spawnSync("npm", ["install", "--prefix", dir.path, ...flags, "zeromq@6.8.0"], {
    stdio: "ignore",
    timeout: 60_000,
  });
  return spawnSync("node", ["-e", "require('zeromq')"], { cwd: dir.path, stdio: "ignore" }).status === 0;
}

const present = install();
if (!present) dir.remove();
const test = requirePeer("zeromq@6.8.0 of npm", present);

describe("zeromq.js", () => {
  let peer: ZmqPeer;
  before(async () => void (peer = present ? await ZmqPeer.start("node", [SCRIPT, dir.path]) : peer));
  after(async () => {
    await peer?.[Symbol.asyncDispose]();
    dir.remove();
  });

  for (const link of links(dir.path, true).filter(({ name }) => /^(tcp|ipc|ws),/.test(name))) {
    test(`push - to Pull over ${link.name}`, async () => {
      await using push = scoped(new Push());
      await using pull = await peer.socket("PULL");
      await link.join(push, pull);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await push.send(frames);
        assert.deepEqual(await pull.recv(), told(frames));
      }
      const collected = pull.collect(MANY);
      for (let i = 0; i < MANY; i++) await push.send(`${i}`);
      assert.deepEqual(await collected, numbers(MANY));
    });

    test(`pull - from Push over ${link.name}`, async () => {
      await using pull = scoped(new Pull());
      await using push = await peer.socket("PUSH");
      await link.join(pull, push);
      for (const message of MESSAGES) {
        await push.send(...message);
        assert.deepEqual(told(await pull.receive()), told(message.map(bytesOf)));
      }
      const sent = push.blast(MANY);
      for (let i = 0; i < MANY; i++) assert.deepEqual(texts(await pull.receive()), [`${i}`]);
      await sent;
    });

    test(`pub - to Subscriber over ${link.name}`, async () => {
      await using pub = scoped(new Pub({ onFull: "block" }));
      await using sub = await peer.socket("SUB");
      await sub.subscribe("");
      await link.join(pub, sub);
      await waitFor(async () => {
        await sub.poke();
        return pub.subscribers === 1;
      });
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await pub.send(frames);
        assert.deepEqual(await sub.recv(), told(frames));
      }
      const collected = sub.collect(MANY);
      for (let i = 0; i < MANY; i++) await pub.send(`${i}`);
      assert.deepEqual(await collected, numbers(MANY));
    });

    test(`sub - from XPublisher over ${link.name}`, async () => {
      await using sub = scoped(new Sub());
      await using pub = await peer.socket("XPUB");
      sub.subscribe("");
      await link.join(sub, pub);
      assert.deepEqual(await pub.recv(), ["01"]);
      for (const message of MESSAGES) {
        await pub.send(...message);
        assert.deepEqual(told(await sub.receive()), told(message.map(bytesOf)));
      }
    });

    test(`req - to Reply over ${link.name}`, async () => {
      await using req = scoped(new Req());
      await using rep = await peer.socket("REP");
      await link.join(req, rep);
      const echoed = rep.echo(MESSAGES.length);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        assert.deepEqual(told(await req.request(frames)), told(frames));
      }
      assert.equal(await echoed, MESSAGES.length);
    });

    test(`rep - from Dealer over ${link.name}`, async () => {
      await using rep = scoped(new Rep());
      await using dealer = await peer.socket("DEALER");
      await link.join(rep, dealer);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await dealer.send("", ...message);
        const request = await rep.receive();
        assert.deepEqual(told(request?.frames), told(frames));
        request!.reply(frames);
        assert.deepEqual(await dealer.recv(), ["", ...told(frames)!]);
      }
    });
  }
});
