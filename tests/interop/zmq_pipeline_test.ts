/** PUSH and PULL against libzmq. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Pull, Push } from "../../mod.ts";
import { scoped, SocketLog } from "../support/sockets.ts";
import { checkReceiving, checkSending, links, linksDir } from "./zmq_links.ts";
import { sharedPeer, test } from "../support/zmq_peer.ts";

describe("libzmq pipeline", () => {
  const dir = linksDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  for (const link of links(dir.path)) {
    test(`push - to PULL over ${link.name}`, async () => {
      await using push = scoped(new Push());
      await using pull = await peer.socket("PULL");
      await link.join(push, pull);
      await checkSending(push, pull);
    });

    test(`pull - from PUSH over ${link.name}`, async () => {
      const log = new SocketLog();
      await using pull = scoped(new Pull({ onEvent: log.onEvent }));
      await using push = await peer.socket("PUSH");
      await link.join(pull, push);
      await checkReceiving(pull, push);
      assert.equal(log.of("connected")[0]!.socketType, "PUSH");
      assert.equal(log.of("connected")[0]!.version, "3.1");
    });
  }
});
