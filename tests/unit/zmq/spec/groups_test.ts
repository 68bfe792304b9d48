/** radio_dish, client_server: RFC 48 and 41, the cases of libzmq's tests with these names. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MORE } from "../../../../lib/zmtp/batch.ts";
import { Batch, Client, Dish, Radio, Server } from "../../../../mod.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, inproc, numbers, SocketLog, texts } from "../../../support/sockets.ts";
import { bytes, command, frame, hexOf, rawListener, RawPeer } from "../../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

describe("spec groups and servers", () => {
  it("radio_dish - JOIN and LEAVE are commands; a message is a group and a body on the wire", async () => {
    await using radio = new Radio();
    using peer = await RawPeer.dial(await radio.bind(LOCAL));
    await peer.greet("DISH");
    peer.send(command(bytes("04 'JOIN' 'TV'")));
    await waitFor(() => radio.subscribers === 1);
    await radio.send(["Movies", "no"]);
    await radio.send(["TV", "Friends"]);
    const message = [frame("TV", 1), frame("Friends")].map(hexOf).join("");
    assert.equal(hexOf(await peer.take(message.length / 2)), message);
    peer.send(command(bytes("05 'LEAVE' 'TV'")));
    await waitFor(() => radio.subscribers === 0);
    await radio.send(["TV", "Friends"]);
    assert.equal(peer.waiting, 0);
  });

  it("radio_dish - a group matches its whole name, not a prefix", async () => {
    await using radio = new Radio();
    await using dish = new Dish();
    for (const group of ["news", "", "newspaper"]) dish.join(group);
    dish.connect(await radio.bind(LOCAL));
    await waitFor(() => radio.subscribers === 1);
    for (const group of ["new", "news", "newsp", "newspaper", "", "x"]) {
      await radio.send([group, `for ${group}`]);
    }
    await radio.send(["news", "end"]);
    const got = [];
    while (got.at(-1) !== "news|end") got.push(texts(await deadline(dish.receive()))!.join("|"));
    assert.deepEqual(got, ["news|for news", "newspaper|for newspaper", "|for ", "news|end"]);
  });

  it("radio_dish - a batch of several messages goes out as a whole", async () => {
    await using radio = new Radio();
    await using dish = new Dish();
    dish.join("a");
    dish.connect(await radio.bind(LOCAL));
    await waitFor(() => radio.subscribers === 1);
    const batch = new Batch();
    batch.bytes = bytes("'a1b2a3'");
    batch.stable = true;
    for (let at = 0; at < 6; at++) batch.add(at, at + 1, at % 2 === 0 ? MORE : 0);
    assert.equal(radio.sendBatch(batch), 6);
    assert.deepEqual(texts(await deadline(dish.receive())), ["a", "1"]);
    assert.deepEqual(texts(await deadline(dish.receive())), ["a", "3"]);
  });

  it("radio_dish - a dish filters again, joins again after a reconnect, and joins a group once", async () => {
    await using listener = await rawListener((peer) => void peer.greet("RADIO"));
    await using dish = new Dish({ reconnect: { first: 1, longest: 5 } });
    dish.join("a");
    dish.join("b");
    dish.join("a");
    dish.leave("b");
    dish.leave("never");
    dish.connect(listener.endpoint);
    for (const round of [0, 1]) {
      const peer = await listener.peer(round);
      await waitFor(() => dish.peers === 1);
      await waitFor(() => hexOf(peer.bytes()).endsWith(hexOf(command(bytes("04 'JOIN' 'a'")))));
      assert.equal(peer.text().split("JOIN").length, 2);
      peer.send(frame("b", 1), frame("no"), frame("a"), frame("a", 1), frame("x", 1), frame("y"));
      peer.send(frame("a", 1), frame(`yes ${round}`));
      assert.deepEqual(texts(await deadline(dish.receive())), ["a", `yes ${round}`]);
      peer.close();
    }
  });

  it("radio_dish - messages that are not a group and a body, and names over 255 bytes, are errors", async () => {
    await using radio = new Radio();
    await using dish = new Dish();
    await assert.rejects(radio.send("no group"), /message of 1 frame: expected two, a group and a body/);
    await assert.rejects(radio.send(["a", "b", "c"]), /message of 3 frames: expected two/);
    await assert.rejects(radio.send(["g".repeat(256), "b"]), /a group of 256 bytes/);
    assert.throws(() => dish.join("g".repeat(256)), RangeError);
    await radio.send(["g".repeat(255), "b"]);
  });

  it("radio_dish - drops and counts messages for a full dish, and serves the others", async () => {
    const endpoint = inproc();
    const log = new SocketLog();
    await using radio = new Radio({ hwm: 5, onEvent: log.onEvent });
    await radio.bind(endpoint);
    const [stands, reads] = [new Dish(), new Dish()];
    for (const dish of [stands, reads]) {
      dish.join("g");
      dish.connect(endpoint);
    }
    await waitFor(() => radio.subscribers === 2);
    stands.pause();
    for (let i = 0; i < 20; i++) {
      await radio.send(["g", `${i}`]);
      assert.deepEqual(texts(await deadline(reads.receive())), ["g", `${i}`]);
    }
    assert.deepEqual([radio.dropped, log.of("dropping").length], [14, 1]);
    await Promise.all([stands.close(), reads.close()]);
  });

  it("client_server - each client has an id other than 0, and receives its messages", async () => {
    await using server = new Server();
    const endpoint = await server.bind(LOCAL);
    const clients = numbers(10).map(() => new Client());
    for (const client of clients) client.connect(endpoint);
    await Promise.all(clients.map((client, i) => client.send(`${i}`)));
    const ids = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const [id, body] = (await deadline(server.receive()))!;
      assert.equal(id!.length, 4);
      ids.add(hexOf(id!));
      await server.send([id!, `re: ${texts([body!])![0]}`]);
    }
    assert.equal(ids.size, 10);
    assert.ok(!ids.has("00000000"));
    for (const [i, client] of clients.entries()) {
      assert.deepEqual(texts(await deadline(client.receive())), [`re: ${i}`]);
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it("client_server - messages of several frames are refused when sent, and dropped when received", async () => {
    await using server = new Server();
    await using client = new Client();
    await assert.rejects(client.send(["a", "b"]), /message of 2 frames: expected one/);
    await assert.rejects(server.send(["id", "a", "b"]), /message of 2 frames: expected one/);
    await assert.rejects(server.send("alone"), /a routing id and at least one more frame/);
    using peer = await RawPeer.dial(await server.bind(LOCAL));
    await peer.greet("CLIENT");
    peer.send(
      frame("a", 1),
      frame("b"),
      frame("right"),
      frame("c", 1),
      frame("", 1),
      frame("d"),
      frame("too"),
    );
    const bodies = [];
    for (let i = 0; i < 2; i++) bodies.push(texts((await deadline(server.receive()))!.slice(1))![0]);
    assert.deepEqual(bodies, ["right", "too"]);
  });

  it("client_server - a client distributes to its servers; the id of a disconnected client is unknown", async () => {
    await using client = new Client();
    assert.equal(client.sendBatch(batchOf(["x"])), 0);
    const servers = await Promise.all(
      numbers(2).map(async () => {
        const server = new Server();
        client.connect(await server.bind(LOCAL));
        return server;
      }),
    );
    await waitFor(() => client.peers === 2);
    for (let i = 0; i < 4; i++) await client.send(`${i}`);
    const [id] = (await deadline(servers[0]!.receive()))!;
    assert.ok(id !== undefined && servers[0]!.peer(id) !== undefined);
    await client.close();
    await waitFor(() => servers[0]!.peers === 0);
    await servers[0]!.send([id, "too late"]);
    assert.equal(servers[0]!.dropped, 1);
    await Promise.all(servers.map((server) => server.close()));
  });
});
