/** PUSH and PULL against libzmq. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Pull, Push } from "../../mod.ts";
import { numbers, scoped, SocketLog } from "../support/sockets.ts";
import { links, linksDir, MANY, MESSAGES } from "./zmq_links.ts";
import { asPrinted, bytesOf, sharedPeer, test } from "../support/zmq_peer.ts";

describe("libzmq pipeline", () => {
  const dir = linksDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  for (const link of links(dir.path)) {
    test(`push - to PULL over ${link.name}`, async () => {
      await using push = scoped(new Push());
      await using pull = await peer.socket("PULL");
      await link.join(push, pull);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await push.send(frames);
        assert.deepEqual(await pull.recv(), asPrinted(frames));
      }
      const collected = pull.collect(MANY);
      for (let i = 0; i < MANY; i++) await push.send(`${i}`);
      assert.deepEqual(await collected, numbers(MANY));
    });

    test(`pull - from PUSH over ${link.name}`, async () => {
      const log = new SocketLog();
      await using pull = scoped(new Pull({ onEvent: log.onEvent }));
      await using push = await peer.socket("PUSH");
      await link.join(pull, push);
      for (const message of MESSAGES) {
        await push.send(...message);
        assert.deepEqual(asPrinted(await pull.receive()), asPrinted(message.map(bytesOf)));
      }
      const sent = push.blast(MANY);
      for (let i = 0; i < MANY; i++) {
        const [frame] = await pull.receive() ?? [];
        assert.equal(new TextDecoder().decode(frame), `${i}`);
      }
      await sent;
      assert.equal(log.of("connected")[0]!.socketType, "PUSH");
      assert.equal(log.of("connected")[0]!.version, "3.1");
    });
  }
});
