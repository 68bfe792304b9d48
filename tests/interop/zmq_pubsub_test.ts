/** PUB and SUB against libzmq's PUB, SUB, XPUB and XSUB. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Pub, Sub } from "../../mod.ts";
import { waitFor } from "../support/helpers.ts";
import { scoped } from "../support/sockets.ts";
import { checkReceiving, checkSending, links, linksDir } from "./zmq_links.ts";
import { hex, sharedPeer, test, type ZmqSocket } from "../support/zmq_peer.ts";

/** Subscribes to everything: an XSUB sends a subscription message. */
async function subscribeToAll(socket: ZmqSocket, type: string): Promise<void> {
  if (type === "SUB") await socket.subscribe("");
  else await socket.send("01");
}

/** Sends a probe with each check until one arrives, because a PUB does not report subscriptions. */
async function untilHeard(pub: ZmqSocket, sub: Sub): Promise<void> {
  let heard = false;
  const first = sub.receive().then(() => heard = true);
  await waitFor(async () => {
    if (!heard) await pub.send(hex("probe"));
    return heard;
  });
  await first;
  await pub.send(hex("last probe"));
  while (new TextDecoder().decode((await sub.receive())![0]) !== "last probe");
}

describe("libzmq publish and subscribe", () => {
  const dir = linksDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  for (const link of links(dir.path)) {
    for (const type of ["SUB", "XSUB"]) {
      test(`pub - to ${type} over ${link.name}`, async () => {
        await using pub = scoped(new Pub({ onFull: "block" }));
        await using sub = await peer.socket(type);
        await link.join(pub, sub);
        await subscribeToAll(sub, type);
        await waitFor(async () => {
          await sub.poke();
          return pub.subscribers === 1;
        });
        await checkSending(pub, sub);
        assert.equal(pub.dropped, 0);
      });
    }

    for (const type of ["PUB", "XPUB"]) {
      test(`sub - from ${type} over ${link.name}`, async () => {
        await using sub = scoped(new Sub());
        await using pub = await peer.socket(type, { SNDHWM: 0 });
        sub.subscribe("");
        await link.join(sub, pub);
        if (type === "XPUB") assert.deepEqual(await pub.recv(), ["01"]);
        else await untilHeard(pub, sub);
        await checkReceiving(sub, pub);
      });
    }
  }
});
