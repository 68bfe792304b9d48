/** RADIO and DISH over UDP. */
import assert from "node:assert/strict";
import os from "node:os";
import { describe, it } from "node:test";
import { aimDatagrams } from "../../../lib/transport/datagram.ts";
import { type HostEndpoint, parseEndpoint } from "../../../lib/transport/endpoint.ts";
import { plainClient } from "../../../lib/zmtp/mechanisms/plain.ts";
import { Dish, EndpointError, LimitError, Pull, Radio } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { numbers, SocketLog, texts } from "../../support/sockets.ts";

const lo = os.networkInterfaces()["lo"]?.[0]?.address === "127.0.0.1";

/** A DISH in a group, and a RADIO that reaches it. */
async function meet(radio: Radio, dish: Dish, endpoint = "udp://127.0.0.1:0"): Promise<string> {
  dish.join("news");
  const bound = await dish.bind(endpoint);
  radio.connect(bound);
  await waitFor(() => radio.subscribers === 1);
  return bound;
}

describe("datagrams", () => {
  it("radio, dish - only messages of joined groups are received, empty groups and bodies included", async () => {
    const log = new SocketLog();
    await using radio = new Radio({ onEvent: log.onEvent });
    await using dish = new Dish();
    const bound = await meet(radio, dish);
    assert.match(bound, /^udp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const { socketType, version } = await log.until("connected");
    assert.deepEqual([socketType, version], ["DISH", "none"]);
    for (const message of [["news", "one"], ["new", "no"], ["newsy", "no"], ["", "no"], ["news", ""]]) {
      await radio.send(message);
    }
    assert.deepEqual(texts(await deadline(dish.receive())), ["news", "one"]);
    assert.deepEqual(texts(await deadline(dish.receive())), ["news", ""]);
    dish.leave("news");
    dish.join("new");
    await radio.send(["news", "no"]);
    await radio.send(["new", "two"]);
    assert.deepEqual(texts(await deadline(dish.receive())), ["new", "two"]);
  });

  it("radio, dish - bursts keep their order, and close sends what is queued", async () => {
    const radio = new Radio();
    await using dish = new Dish();
    await meet(radio, dish);
    const came: number[] = [];
    dish.consume((batch) => came.push(Number(new TextDecoder().decode(batch.frame(1)))));
    for (const i of numbers(200)) await radio.send(["news", `${i}`]);
    assert.equal(await radio.close(1000), 0);
    await waitFor(() => came.length === 200);
    assert.deepEqual(came, numbers(200));
  });

  it("radio - sends over tcp and udp at the same time", async () => {
    await using radio = new Radio();
    await using near = new Dish();
    await using far = new Dish();
    await meet(radio, near);
    far.join("news");
    far.connect(await radio.bind("tcp://127.0.0.1:0"));
    await waitFor(() => radio.subscribers === 2);
    await radio.send(["news", "both"]);
    for (const dish of [near, far]) assert.deepEqual(texts(await deadline(dish.receive())), ["news", "both"]);
  });

  it(
    "dish - two sockets receive from a multicast group",
    { skip: lo ? false : "there is no 'lo'" },
    async () => {
      await using radio = new Radio();
      await using first = new Dish();
      await using second = new Dish();
      const bound = await meet(radio, first, "udp://lo;233.252.0.18:0");
      second.join("news");
      await second.bind(bound);
      await radio.send(["news", "all"]);
      for (const dish of [first, second]) {
        assert.deepEqual(texts(await deadline(dish.receive())), ["news", "all"]);
      }
    },
  );

  it("radio - a message over 8192 bytes is an error, and the messages before and after it are sent", async () => {
    await using radio = new Radio();
    await using dish = new Dish();
    await meet(radio, dish);
    await radio.send(["news", "x".repeat(8192 - 5)]);
    await assert.rejects(radio.send(["news", "x".repeat(8192 - 4)]), (error: unknown) => {
      assert.ok(error instanceof LimitError);
      assert.equal(
        error.message,
        "Cannot send a body of 8188 bytes over udp: at most 8187 bytes fit after a group of 4 bytes (or use tcp)",
      );
      return true;
    });
    await radio.send(["news", "after"]);
    assert.equal((await deadline(dish.receive()))![1]!.length, 8187);
    assert.deepEqual(texts(await deadline(dish.receive())), ["news", "after"]);
  });

  it("dish - invalid datagrams are dropped", async () => {
    await using dish = new Dish();
    dish.join("a");
    const bound = parseEndpoint(await dish.bind("udp://127.0.0.1:0")) as HostEndpoint;
    const socket = await aimDatagrams(bound);
    const sent = Promise.withResolvers<void>();
    const junk = [[], [1], [200, 1, 2], [0], new Array(9000).fill(1), [1, 97, 104, 105]].map((x) =>
      Uint8Array.from(x)
    );
    socket.attach({
      onDatagram() {},
      onError: sent.reject,
      onSent() {
        const next = junk.shift();
        if (next === undefined) sent.resolve();
        else socket.send(next);
      },
    });
    socket.send(junk.shift()!);
    await sent.promise;
    assert.deepEqual(texts(await deadline(dish.receive())), ["a", "hi"]);
    socket.close();
  });

  it("unusable - the wrong direction, another socket type and security are refused with a reason", async () => {
    const where = "udp://127.0.0.1:5555";
    await using radio = new Radio();
    await using dish = new Dish();
    await using pull = new Pull();
    await using secret = new Dish({ security: plainClient("a", "b") });
    const wrong = "over udp RADIO connects and DISH binds";
    await assert.rejects(radio.bind(where), new EndpointError(`Cannot bind ${where}: ${wrong}`));
    assert.throws(() => dish.connect(where), new EndpointError(`Cannot connect to ${where}: ${wrong}`));
    await assert.rejects(
      pull.bind(where),
      /Cannot use udp:\/\/ with a PULL socket: only RADIO and DISH use it/,
    );
    await assert.rejects(secret.bind(where), /Cannot use .* with PLAIN security: udp supports only NULL/);
  });

  it("unbind, disconnect - the port is free afterwards", async () => {
    await using radio = new Radio();
    await using dish = new Dish();
    const bound = await meet(radio, dish);
    await radio.disconnect(bound);
    await waitFor(() => radio.peers === 0);
    await dish.unbind(bound);
    await waitFor(() => dish.peers === 0);
    await meet(radio, dish, bound);
    await radio.send(["news", "again"]);
    assert.deepEqual(texts(await deadline(dish.receive())), ["news", "again"]);
  });

  it("radio - messages that the system refuses to send are counted as dropped, or wait", async () => {
    // Only a socket with SO_BROADCAST may send there. Deno reports that at the first datagram, Bun at the connection.
    const log = new SocketLog();
    const radio = new Radio({ onEvent: log.onEvent });
    radio.connect("udp://255.255.255.255:9");
    await waitFor(() => log.all.some(({ type }) => type === "connected" || type === "retrying"));
    if (radio.subscribers === 1) {
      await radio.send(["news", "one"]);
      await waitFor(() => radio.dropped === 1);
    }
    assert.equal(await radio.close(), 0);
  });
});
