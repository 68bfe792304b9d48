/** All patterns against the zeromq package of npm, a newer libzmq under Node. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import {
  allowUsers,
  Client,
  curveClient,
  curveServer,
  Dealer,
  Dish,
  encodeZ85,
  generateKeyPair,
  type Mechanism,
  Pair,
  plainServer,
  Pub,
  Pull,
  Push,
  Radio,
  Rep,
  Req,
  Router,
  Server,
  Sub,
} from "../../mod.ts";
import { deadline, installed, requirePeer, waitFor } from "../support/helpers.ts";
import { scoped, texts } from "../support/sockets.ts";
import { checkReceiving, checkSending, links, linksDir, MESSAGES } from "./zmq_links.ts";
import { asPrinted, bytesOf, hex, ZmqPeer } from "../support/zmq_peer.ts";

const SCRIPT = fileURLToPath(new URL("./peers/zmq_peer.mjs", import.meta.url));
const dir = linksDir();

/** Installs the package in a separate folder; returns false without npm or a registry. */
function install(): boolean {
  if (!installed("npm") || !installed("node")) return false;
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=15000"];
  spawnSync("npm", ["install", "--prefix", dir.path, ...flags, "zeromq@6.8.0"], {
    stdio: "ignore",
    timeout: 60_000,
  });
  return spawnSync("node", ["-e", "require('zeromq')"], { cwd: dir.path, stdio: "ignore" }).status === 0;
}

const server = await generateKeyPair();
const client = await generateKeyPair();
const keyHex = (key: Uint8Array) => hex(encodeZ85(key));
const clientOptions = {
  CURVE_SERVERKEY: keyHex(server.publicKey),
  CURVE_PUBLICKEY: keyHex(client.publicKey),
  CURVE_SECRETKEY: keyHex(client.secretKey),
};
const serverOptions = {
  CURVE_SERVER: 1,
  CURVE_PUBLICKEY: keyHex(server.publicKey),
  CURVE_SECRETKEY: keyHex(server.secretKey),
};

/** The security options of two sockets. PLAIN with libzmq as the server would need ZAP. */
const WAYS: [name: string, ours: () => Mechanism, theirs: Record<string, number | string>][] = [
  ["CURVE, we serve", () => curveServer({ keyPair: server }), clientOptions],
  ["CURVE, they serve", () => curveClient({ serverKey: server.publicKey }), serverOptions],
  [
    "PLAIN, we serve",
    () => plainServer({ handler: allowUsers(new Map([["me", "secret"]])) }),
    { PLAIN_USERNAME: hex("me"), PLAIN_PASSWORD: hex("secret") },
  ],
];

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
      await checkSending(push, pull);
    });

    test(`pull - from Push over ${link.name}`, async () => {
      await using pull = scoped(new Pull());
      await using push = await peer.socket("PUSH");
      await link.join(pull, push);
      await checkReceiving(pull, push);
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
      await checkSending(pub, sub);
    });

    test(`sub - from XPublisher over ${link.name}`, async () => {
      await using sub = scoped(new Sub());
      await using pub = await peer.socket("XPUB");
      sub.subscribe("");
      await link.join(sub, pub);
      assert.deepEqual(await pub.recv(), ["01"]);
      for (const message of MESSAGES) {
        await pub.send(...message);
        assert.deepEqual(asPrinted(await sub.receive()), asPrinted(message.map(bytesOf)));
      }
    });

    test(`req - to Reply over ${link.name}`, async () => {
      await using req = scoped(new Req());
      await using rep = await peer.socket("REP");
      await link.join(req, rep);
      const echoed = rep.echo(MESSAGES.length);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        assert.deepEqual(asPrinted(await req.request(frames)), asPrinted(frames));
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
        assert.deepEqual(asPrinted(request?.frames), asPrinted(frames));
        request!.reply(frames);
        assert.deepEqual(await dealer.recv(), ["", ...asPrinted(frames)!]);
      }
    });

    test(`radio - to Dish over ${link.name}`, async () => {
      await using radio = scoped(new Radio({ onFull: "block" }));
      await using dish = await peer.socket("DISH");
      await dish.option("JOIN", hex("news"));
      await link.join(radio, dish);
      await waitFor(async () => {
        await dish.poke();
        return radio.subscribers === 1;
      });
      for (const [body] of MESSAGES) {
        await radio.send(["sports", "no"]);
        await radio.send(["news", bytesOf(body!)]);
        assert.deepEqual(
          await dish.recv(),
          asPrinted([...["news"].map((name) => new TextEncoder().encode(name)), bytesOf(body!)]),
        );
      }
      await dish.option("JOIN", hex("sports"));
      await waitFor(async () => {
        await dish.poke();
        await radio.send(["sports", "x"]);
        await radio.send(["news", "0"]);
        return (await dish.recv())![0] === hex("sports");
      });
    });

    test(`dish - from Radio over ${link.name}`, async () => {
      await using dish = scoped(new Dish());
      await using radio = await peer.socket("RADIO");
      dish.join("news");
      await link.join(dish, radio);
      // A radio does not report joins: the first message that arrives shows the join.
      let came = false;
      const first = dish.receive().then(() => came = true);
      while (!came) await radio.send(hex("news"), hex("first"));
      await first;
      await radio.send(hex("news"), hex("marker"));
      while (texts(await dish.receive())![1] !== "marker");
      for (const [body] of MESSAGES) {
        await radio.send(hex("sports"), hex("no"));
        await radio.send(hex("news"), body!);
        assert.deepEqual(asPrinted((await dish.receive())!.slice(1)), asPrinted([bytesOf(body!)]));
      }
      dish.leave("news");
      dish.join("last");
      came = false;
      const last = dish.receive().then((message) => {
        came = true;
        return message;
      });
      while (!came) await radio.send(hex("last"), hex("one"));
      assert.deepEqual(texts(await last), ["last", "one"]);
    });

    test(`client - to Server over ${link.name}`, async () => {
      await using client = scoped(new Client());
      await using server = await peer.socket("SERVER");
      await link.join(client, server);
      const echoed = server.echo(MESSAGES.length);
      for (const [body] of MESSAGES) {
        await client.send(bytesOf(body!));
        assert.deepEqual(asPrinted(await client.receive()), asPrinted([bytesOf(body!)]));
      }
      assert.equal(await echoed, MESSAGES.length);
    });

    test(`server - from Client over ${link.name}`, async () => {
      await using server = scoped(new Server());
      await using client = await peer.socket("CLIENT");
      await link.join(server, client);
      for (const [body] of MESSAGES) {
        await client.send(body!);
        const [id, received] = (await server.receive())!;
        assert.equal(id!.length, 4);
        assert.deepEqual(asPrinted([received!]), asPrinted([bytesOf(body!)]));
        await server.send([id!, received!]);
        assert.deepEqual(await client.recv(), asPrinted([bytesOf(body!)]));
      }
    });

    test(`pair, dealer and router - with those of libzmq 4.3.5 over ${link.name}`, async () => {
      const rows = [["PAIR", new Pair()], ["ROUTER", new Dealer()], ["DEALER", new Router()]] as const;
      for (const [type, socket] of rows) {
        await using ours = scoped(socket);
        await using theirs = await peer.socket(type);
        await link.join(ours, theirs);
        if (type === "DEALER") {
          await theirs.send(hex("hello"));
          await ours.send((await ours.receive())!);
          assert.deepEqual(await theirs.recv(), [hex("hello")]);
        } else {
          const echoed = theirs.echo(1);
          await ours.send(["a", "", "b"]);
          assert.deepEqual(texts(await ours.receive()), ["a", "", "b"]);
          await echoed;
        }
      }
    });
  }

  for (const [way, ours, theirs] of WAYS) {
    for (const link of links(dir.path, true).filter(({ name }) => /^(tcp|ws),/.test(name))) {
      test(`security - ${way} over ${link.name}`, async () => {
        await using dealer = scoped(new Dealer({ security: ours() }));
        await using theirDealer = await peer.socket("DEALER", theirs);
        await link.join(dealer, theirDealer);
        for (const message of MESSAGES) {
          const frames = message.map(bytesOf);
          await dealer.send(frames);
          assert.deepEqual(await theirDealer.recv(), asPrinted(frames));
          await theirDealer.send(...message);
          assert.deepEqual(asPrinted(await deadline(dealer.receive())), asPrinted(frames));
        }
      });
    }

    test(`security - subscriptions inside of ${way} over ws`, async () => {
      await using pub = scoped(new Pub({ security: ours() }));
      await using theirSub = await peer.socket("SUB", theirs);
      await theirSub.subscribe("b");
      await theirSub.connect(await pub.bind("ws://127.0.0.1:*/feed"));
      await waitFor(async () => {
        await theirSub.poke();
        return pub.subscribers === 1;
      });
      await pub.send("a");
      await pub.send("bc");
      assert.deepEqual(await theirSub.recv(), [hex("bc")]);
      await using sub = scoped(new Sub({ security: ours() }));
      await using theirPub = await peer.socket("XPUB", theirs);
      sub.subscribe("b");
      sub.connect(await theirPub.bind("ws://127.0.0.1:*/feed"));
      assert.deepEqual(await theirPub.recv(), [hex("\x01b")]);
      await theirPub.send(hex("bc"));
      assert.deepEqual(texts(await deadline(sub.receive())), ["bc"]);
    });

    test(`security - groups are joined inside of ${way}`, async () => {
      await using radio = scoped(new Radio({ security: ours() }));
      await using theirDish = await peer.socket("DISH", theirs);
      await theirDish.option("JOIN", hex("news"));
      await theirDish.connect(await radio.bind("tcp://127.0.0.1:0"));
      await waitFor(() => radio.subscribers === 1);
      await radio.send(["news", "hello"]);
      assert.deepEqual(await theirDish.recv(), [hex("news"), hex("hello")]);
    });
  }

  const groups: [name: string, endpoint: string][] = [
    ["udp", "udp://127.0.0.1:*"],
    ["multicast", "udp://lo;239.9.8.7:*"],
  ];
  for (const [name, endpoint] of groups) {
    const messages = MESSAGES.filter(([, ...more]) => more.length === 0).map(([body]) => bytesOf(body!))
      .filter(({ length }) => length < 8000);

    test(`radio - to Dish over ${name}`, async () => {
      await using radio = scoped(new Radio());
      await using dish = await peer.socket("DISH");
      await dish.option("JOIN", hex("news"));
      // libzmq does not report the port that it was assigned.
      const wanted = endpoint.replace("*", `${await freeUdpPort()}`);
      await dish.bind(wanted);
      radio.connect(wanted);
      await waitFor(() => radio.subscribers === 1);
      // The socket of libzmq opens after `bind` returns, and a datagram that arrives before is lost.
      const ready = [hex("news"), hex("ready")];
      let came = false;
      const first = dish.recv().then((parts) => {
        came = true;
        assert.deepEqual(parts, ready);
      });
      await waitFor(async () => {
        await radio.send(["news", "ready"]);
        return came;
      });
      await first;
      const next = async () => {
        for (;;) {
          const parts = await dish.recv();
          if (parts?.[1] !== ready[1]) return parts;
        }
      };
      for (const body of messages) {
        await radio.send(["other", "nothing"]);
        await radio.send(["news", body]);
        assert.deepEqual(await next(), [hex("news"), ...asPrinted([body])!]);
      }
    });

    test(`dish - from Radio over ${name}`, async () => {
      await using dish = scoped(new Dish());
      await using radio = await peer.socket("RADIO");
      dish.join("news");
      await radio.connect(await dish.bind(endpoint));
      const first = dish.receive();
      let came = false;
      first.then(() => came = true);
      // A RADIO of libzmq over udp does not know its members.
      await waitFor(async () => {
        await radio.send(hex("news"), "");
        return came;
      });
      for (const body of messages.filter(({ length }) => length > 0)) {
        await radio.send(hex("other"), hex("nothing"));
        await radio.send(hex("news"), Buffer.from(body).toString("hex"));
        let received = await dish.receive();
        while (received?.[1]?.length === 0) received = await dish.receive();
        assert.deepEqual(asPrinted(received), [hex("news"), ...asPrinted([body])!]);
      }
    });
  }
});

/** A free UDP port. */
async function freeUdpPort(): Promise<number> {
  await using dish = scoped(new Dish());
  return Number((await dish.bind("udp://127.0.0.1:0")).split(":").at(-1));
}
