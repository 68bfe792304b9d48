/** REQ and REP against libzmq's REQ, REP, DEALER and ROUTER. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Rep, Req } from "../../mod.ts";
import { numbers, scoped, texts } from "../support/sockets.ts";
import { links, linksDir, MANY, MESSAGES } from "./zmq_links.ts";
import { asPrinted, bytesOf, hex, sharedPeer, test } from "../support/zmq_peer.ts";

/** The number of consecutive round trips. */
const ROUND_TRIPS = 300;

describe("libzmq request and reply", () => {
  const dir = linksDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  for (const link of links(dir.path)) {
    for (const type of ["REP", "ROUTER"]) {
      test(`req - to ${type} over ${link.name}`, async () => {
        await using req = scoped(new Req());
        await using service = await peer.socket(type);
        await link.join(req, service);
        const echoed = service.echo(MESSAGES.length + ROUND_TRIPS);
        for (const message of MESSAGES) {
          const frames = message.map(bytesOf);
          assert.deepEqual(asPrinted(await req.request(frames)), asPrinted(frames));
        }
        for (let i = 0; i < ROUND_TRIPS; i++) assert.deepEqual(texts(await req.request(`${i}`)), [`${i}`]);
        assert.equal(await echoed, MESSAGES.length + ROUND_TRIPS);
      });
    }

    test(`rep - from REQ over ${link.name}`, async () => {
      await using rep = scoped(new Rep());
      await using req = await peer.socket("REQ");
      await link.join(rep, req);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await req.send(...message);
        const request = await rep.receive();
        assert.deepEqual(asPrinted(request?.frames), asPrinted(frames));
        request!.reply([...frames, "done"]);
        assert.deepEqual(await req.recv(), [...asPrinted(frames)!, hex("done")]);
      }
    });

    test(`rep - from DEALER over ${link.name}, many requests outstanding`, async () => {
      await using rep = scoped(new Rep());
      await using dealer = await peer.socket("DEALER", { RCVHWM: 0 });
      await link.join(rep, dealer);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await dealer.send(hex("id"), "", ...message);
        const request = await rep.receive();
        assert.deepEqual(asPrinted(request?.frames), asPrinted(frames));
        request!.reply(frames);
        assert.deepEqual(await dealer.recv(), [hex("id"), "", ...asPrinted(frames)!]);
      }
      const sent = dealer.blast(MANY, { head: [""] });
      for (let i = 0; i < MANY; i++) {
        const request = await rep.receive();
        assert.deepEqual(texts(request?.frames), [`${i}`]);
        request!.reply(request!.frames);
      }
      await sent;
      assert.deepEqual(await dealer.collect(MANY), numbers(MANY));
    });
  }
});
