/** The STOMP server of the broker: limits, durability, backpressure, and hostile peers. The suite against RabbitMQ has the rest. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, before, describe, it } from "node:test";
import { openBroker } from "../../../../lib/broker/open.ts";
import type { BrokerEvent } from "../../../../lib/broker/options.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { tempDir, waitFor } from "../../../support/helpers.ts";
import { StompPeer } from "../../../support/stomp_peer.ts";

const events: BrokerEvent[] = [];
let broker: Broker;
let url: string;
let names = 0;

before(async () => {
  broker = await Broker.open({ maxMessageSize: 100_000, onEvent: (event) => events.push(event) });
  url = await broker.listen("stomp://127.0.0.1:0");
});
after(async () => {
  await broker.close();
  assert.deepEqual(events.filter(({ type }) => type === "failed"), []);
});

const destination = () => `/queue/q${++names}`;

/** Sends bytes after a login, and returns the summary and the details of the ERROR frame. */
async function refusal(bytes: string): Promise<string> {
  using peer = await StompPeer.open(url);
  peer.raw(bytes);
  const { headers, text } = await peer.take("ERROR");
  await peer.closed;
  return `${headers["message"]}: ${text.trim()}`;
}

describe("STOMP server", () => {
  it("listen - the library's broker serves stomp endpoints", async () => {
    await using own = await openBroker();
    const endpoint = await own.listen("stomp://127.0.0.1:0");
    assert.match(endpoint, /^stomp:\/\/127\.0\.0\.1:\d+$/);
    using peer = await StompPeer.open(endpoint);
    await peer.call("SEND", { destination: "/queue/a" }, "hello");
    peer.send("SUBSCRIBE", { id: "0", destination: "/queue/a" });
    assert.equal((await peer.take("MESSAGE")).text, "hello");
    await peer.close();
  });

  it("connections - are shown with their protocol and version, and their consumers", async () => {
    using peer = await StompPeer.open(url, "1.1");
    await peer.call("SUBSCRIBE", {
      id: "x",
      destination: destination(),
      ack: "client",
      "prefetch-count": "7",
    });
    const [connection] = [...broker.connections];
    assert.deepEqual(
      [connection!.protocol, connection!.user, connection!.vhost.name, connection!.state],
      ["STOMP 1.1", "guest", "/", "running"],
    );
    const channel = connection!.channels[1]!;
    assert.deepEqual([[...channel.consumers.keys()], channel.prefetch], [["T_x"], 7]);
    await peer.close();
    await waitFor(() => broker.connections.size === 0);
  });

  it("message over the limit - an ERROR frame, before the body arrives", async () => {
    assert.match(
      await refusal("SEND\ndestination:/queue/a\ncontent-length:100001\n\n"),
      /^Limit exceeded: The body of a SEND frame has 100001 bytes: the limit is 100000$/,
    );
    assert.match(await refusal(`SEND\ndestination:/queue/a\n\n${"x".repeat(100_001)}`), /Limit exceeded/);
  });

  it("malformed frames - an ERROR frame and the end of the connection", async () => {
    assert.match(
      await refusal("SEND\nhello\n\n\0"),
      /^Malformed frame: A header of a SEND frame has no colon/,
    );
    assert.match(await refusal("SEND\na:\\q\n\n\0"), /^Malformed frame: .*unknown escape/);
    assert.match(await refusal("\x01\x02\x03"), /^Malformed frame: A frame begins with bytes 01 02 03/);
    assert.match(await refusal("SEND\ncontent-length:1\n\nxx\0"), /^Malformed frame: .*no NUL/);
    assert.match(await refusal("CONNECT\n\n\0"), /^Illegal command: You are logged in already/);
    assert.match(
      await refusal("SEND\ndestination:/queue/a\npriority:x\n\n\0"),
      /^Invalid header: .*'priority'/,
    );
    assert.match(
      await refusal(`SEND\ndestination:/queue/a\ntype:${"x".repeat(300)}\n\n\0`),
      /^Invalid header: .*'type'/,
    );
    assert.match(await refusal(`SEND\ndestination:/queue/${"x".repeat(300)}\n\n\0`), /./);
    assert.match(
      await refusal("SUBSCRIBE\nid:1\ndestination:/queue/a\nprefetch-count:-1\n\n\0"),
      /^Invalid header/,
    );
    assert.match(
      await refusal("BEGIN\ntransaction:a\n\n\0BEGIN\ntransaction:a\n\n\0"),
      /^Bad transaction: .*open already/,
    );
  });

  it("frames after an error or after DISCONNECT - are ignored", async () => {
    const name = destination();
    using peer = await StompPeer.open(url);
    peer.raw(`NONSENSE\n\n\0SEND\ndestination:${name}\n\nx\0`);
    await peer.take("ERROR");
    await peer.closed;
    using other = await StompPeer.open(url);
    other.raw(`DISCONNECT\nreceipt:d\n\n\0SEND\ndestination:${name}\n\nx\0`);
    await other.take("RECEIPT");
    await other.closed;
    assert.equal(broker.vhosts.get("/")!.queues.has(name.slice(7)), false);
  });

  it("ERROR - names the receipt that the refused frame asked for", async () => {
    using peer = await StompPeer.open(url);
    peer.send("SEND", { destination: "/nowhere", receipt: "r7" });
    assert.equal((await peer.take("ERROR")).headers["receipt-id"], "r7");
  });

  it("login - nothing but CONNECT is accepted, and large first frames are refused", async () => {
    const large = `CONNECT\n${"a:b\n".repeat(900)}a:${"b".repeat(20_000)}`;
    for (
      const bytes of [
        large,
        "SEND\ndestination:/queue/a\n\nx\0",
        "SEND\ncontent-length:5000\n\n",
        "GET / HTTP/1.1\r\n\r\n",
      ]
    ) {
      using peer = await StompPeer.dial(url);
      peer.raw(bytes);
      assert.match(
        (await peer.take("ERROR")).headers["message"]!,
        /Illegal command|Limit exceeded|Malformed frame/,
      );
      await peer.closed;
    }
  });

  it("login - a deadline", async () => {
    await using own = await openBroker({ handshakeTimeout: 100 });
    using peer = await StompPeer.dial(await own.listen("stomp://127.0.0.1:0"));
    peer.raw("CONN");
    assert.match((await peer.take("ERROR")).text, /No CONNECT frame arrived within 0\.1 s/);
    await peer.closed;
  });

  it("login - CONNECT and further frames can arrive in one chunk, or byte by byte", async () => {
    const name = destination();
    const frames = `CONNECT\naccept-version:1.2\n\n\0\nSUBSCRIBE\nid:0\ndestination:${name}\n\n\0` +
      `SEND\ndestination:${name}\n\nhello\0`;
    using peer = await StompPeer.dial(url);
    peer.raw(frames);
    assert.equal((await peer.take("MESSAGE")).text, "hello");
    await peer.close();
    using slow = await StompPeer.dial(url);
    for (const char of frames) {
      slow.raw(char);
      await new Promise((resolve) => setTimeout(resolve));
    }
    assert.equal((await slow.take("MESSAGE")).text, "hello");
  });

  it("heart-beats - are sent, and a silent client is disconnected", async () => {
    using peer = await StompPeer.open(url, "1.2", { "heart-beat": "0,1000" });
    const { bytes } = peer;
    await waitFor(() => peer.bytes > bytes);
    // The interval that the client offers counts, not the whole seconds of CONNECTED.
    const silent = await Promise.all(
      ["1000,0", "1400,0"].map((offered) => StompPeer.open(url, "1.2", { "heart-beat": offered })),
    );
    await Promise.all(silent.map((one) => one.closed));
    for (const silence of ["2 s", "2.8 s"]) {
      await waitFor(() =>
        events.some((event) =>
          event.type === "disconnected" && event.cause?.message.includes(`silent for ${silence} `)
        )
      );
    }
  });

  it("messages that are not acknowledged - are delivered again after the connection ends", async () => {
    const name = destination();
    using peer = await StompPeer.open(url);
    peer.send("SUBSCRIBE", { id: "0", destination: name, ack: "client-individual" });
    for (const text of ["a", "b", "c"]) peer.send("SEND", { destination: name }, text);
    const messages = [await peer.take("MESSAGE"), await peer.take("MESSAGE"), await peer.take("MESSAGE")];
    await peer.call("ACK", { id: messages[1]!.headers["ack"]! });
    peer.cut();
    using other = await StompPeer.open(url);
    other.send("SUBSCRIBE", { id: "0", destination: name });
    const again = [await other.take("MESSAGE"), await other.take("MESSAGE")];
    assert.deepEqual(again.map(({ text, headers }) => `${text} ${headers["redelivered"]}`), [
      "a true",
      "c true",
    ]);
  });

  it("ack:client - counts for earlier messages of the same subscription only", async () => {
    const [one, two] = [destination(), destination()];
    using peer = await StompPeer.open(url);
    peer.send("SUBSCRIBE", { id: "1", destination: one, ack: "client" });
    peer.send("SUBSCRIBE", { id: "2", destination: two, ack: "client" });
    for (const name of [one, two, one, two]) peer.send("SEND", { destination: name }, name);
    const messages = [];
    while (messages.length < 4) messages.push(await peer.take("MESSAGE"));
    const last = messages.findLast(({ headers }) => headers["subscription"] === "1")!;
    await peer.call("ACK", { id: last.headers["ack"]! });
    const { queues } = broker.vhosts.get("/")!;
    assert.deepEqual([queues.get(one.slice(7))!.unacked, queues.get(two.slice(7))!.unacked], [0, 2]);
    peer.send("ACK", { id: last.headers["ack"]! });
    assert.match((await peer.take("ERROR")).text, /unknown delivery tag/);
  });

  it("message ids - those of another session are refused", async () => {
    const name = destination();
    using peer = await StompPeer.open(url);
    peer.send("SUBSCRIBE", { id: "a@@b", destination: name, ack: "client" });
    await peer.call("SEND", { destination: name }, "x");
    const { headers } = await peer.take("MESSAGE");
    using other = await StompPeer.open(url);
    await other.call("SUBSCRIBE", { id: "a@@b", destination: name, ack: "client" });
    other.send("ACK", { id: headers["ack"]! });
    assert.match((await other.take("ERROR")).text, /is not of this session/);
    await peer.call("ACK", { id: headers["ack"]! });
  });

  it("transactions - are performed at COMMIT or not at all", async () => {
    const name = destination();
    using peer = await StompPeer.open(url);
    peer.send("BEGIN", { transaction: "t" });
    peer.send("SEND", { destination: name, transaction: "t" }, "a");
    peer.send("SEND", { destination: name, transaction: "t", receipt: "r" }, "b");
    await peer.call("SEND", { destination: name }, "before");
    peer.send("COMMIT", { transaction: "t", receipt: "c" });
    const receipts = [await peer.take("RECEIPT"), await peer.take("RECEIPT")];
    assert.deepEqual(receipts.map(({ headers }) => headers["receipt-id"]), ["r", "c"]);
    peer.send("SUBSCRIBE", { id: "0", destination: name });
    assert.deepEqual(await peer.texts(3), ["before", "a", "b"]);
    peer.send("BEGIN", { transaction: "t" });
    peer.send("SEND", { destination: name, transaction: "t" }, "lost");
    await peer.call("ABORT", { transaction: "t" });
    peer.send("SEND", { destination: name }, "last");
    assert.deepEqual(await peer.texts(1), ["last"]);
  });

  it("receipts - a persistent message survives the broker once its receipt has arrived", async () => {
    using dir = tempDir();
    const name = destination();
    {
      await using first = await openBroker({ data: dir.path });
      using peer = await StompPeer.open(await first.listen("stomp://127.0.0.1:0"));
      await peer.call(
        "SEND",
        { destination: name, persistent: "true", "content-type": "text/x", k: "v" },
        "kept",
      );
      await peer.close();
    }
    await using second = await openBroker({ data: dir.path });
    using peer = await StompPeer.open(await second.listen("stomp://127.0.0.1:0"));
    peer.send("SUBSCRIBE", { id: "0", destination: name });
    const { headers, text } = await peer.take("MESSAGE");
    assert.deepEqual([text, headers["content-type"], headers["k"], headers["persistent"]], [
      "kept",
      "text/x",
      "v",
      "true",
    ]);
  });

  it("receipts - of many messages arrive in order", async () => {
    using dir = tempDir();
    await using own = await openBroker({ data: dir.path });
    using peer = await StompPeer.open(await own.listen("stomp://127.0.0.1:0"));
    const ids = Array.from({ length: 500 }, (_, i) => `${i}`);
    for (const receipt of ids) {
      peer.send("SEND", {
        destination: "/queue/a",
        persistent: `${Number(receipt) % 2 === 0}`,
        durable: "true",
        receipt,
      }, receipt);
    }
    const seen: string[] = [];
    while (seen.length < ids.length) seen.push((await peer.take("RECEIPT")).headers["receipt-id"]!);
    assert.deepEqual(seen, ids);
  });

  it("a full queue - a SEND with a receipt gets an ERROR frame", async () => {
    const name = destination();
    const vhost = broker.vhosts.get("/")!;
    vhost.declareQueue({
      queue: name.slice(7),
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      arguments: { "x-max-length": 1, "x-overflow": "reject-publish" },
    }, {});
    using peer = await StompPeer.open(url);
    await peer.call("SEND", { destination: `/amq${name}` }, "1");
    peer.send("SEND", { destination: `/amq${name}` }, "dropped");
    peer.send("SEND", { destination: `/amq${name}`, receipt: "no" }, "2");
    const { headers } = await peer.take("ERROR");
    assert.deepEqual([headers["message"], headers["receipt-id"]], ["Message refused", "no"]);
  });

  it("a slow consumer - gets everything, and does not stop others", async () => {
    const name = `/topic/slow.${++names}`;
    using slow = await StompPeer.open(url);
    await slow.call("SUBSCRIBE", { id: "0", destination: name });
    slow.pause();
    using fast = await StompPeer.open(url);
    await fast.call("SUBSCRIBE", { id: "0", destination: name });
    const body = "x".repeat(50_000);
    using sender = await StompPeer.open(url);
    for (let i = 0; i < 200; i++) sender.send("SEND", { destination: name }, body);
    assert.equal((await fast.texts(200)).length, 200);
    slow.resume();
    assert.equal((await slow.texts(200)).length, 200);
  });

  it("large bodies - with and without a length, in many chunks, arrive as they are", async () => {
    await using own = await openBroker();
    const endpoint = await own.listen("stomp://127.0.0.1:0");
    using peer = await StompPeer.open(endpoint);
    const body = new Uint8Array(3_000_000).map((_, i) => i * 7 % 251 + 1);
    peer.send("SUBSCRIBE", { id: "0", destination: "/queue/big" });
    peer.raw("SEND\ndestination:/queue/big\n\n");
    peer.raw(body);
    peer.raw("\0");
    assert.ok(Buffer.from(body).equals((await peer.take("MESSAGE")).body));
    peer.send("SEND", { destination: "/queue/big" }, body.map((byte) => byte - 1));
    assert.equal((await peer.take("MESSAGE")).body.length, body.length);
  });

  it("large bodies - wait for the memory of others", async () => {
    const own = await Broker.open({ memoryLimit: 4 * 2 ** 20 });
    const endpoint = await own.listen("stomp://127.0.0.1:0");
    const size = 3 * 2 ** 20;
    const head = `SEND\ndestination:/topic/none\nreceipt:1\ncontent-length:${size}\n\n`;
    using first = await StompPeer.open(endpoint);
    using second = await StompPeer.open(endpoint);
    first.raw(head);
    first.raw(new Uint8Array(size - 1));
    await waitFor(() => [...own.connections].some(({ received }) => received > size));
    second.raw(head);
    second.raw(new Uint8Array(size));
    second.raw("\0");
    await waitFor(() => own.core.bodies.crowded);
    first.raw("\0\0");
    await first.take("RECEIPT");
    await second.take("RECEIPT");
    await own.close();
  });

  it("the end of the broker - an ERROR frame with the reason", async () => {
    const own = await openBroker();
    using peer = await StompPeer.open(await own.listen("stomp://127.0.0.1:0"));
    await own.close();
    assert.match((await peer.take("ERROR")).text, /CONNECTION_FORCED - broker forced connection closure/);
  });
});
