/**
 * The names of bound endpoints, and how they are released: the cases of libzmq's tests last_endpoint, term_endpoint,
 * unbind, ipc_wildcard, abstract_ipc and inproc_connect.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { AddressInUseError, EndpointError, Pull, Push } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { freePort } from "../../support/ports.ts";
import { inproc, SocketLog, texts } from "../../support/sockets.ts";

/** Sends one message through the pair. */
async function passes(push: Push, pull: Pull, text: string): Promise<void> {
  await deadline(push.send(text), 5000, `${text} to be sent`);
  assert.deepEqual(texts(await deadline(pull.receive(), 5000, text)), [text]);
}

describe("endpoints", () => {
  it("last_endpoint - bind returns an endpoint that a peer can connect to", async () => {
    const port = await freePort();
    const given: [endpoint: string, bound: RegExp][] = [
      [`tcp://127.0.0.1:${port}`, new RegExp(`^tcp://127\\.0\\.0\\.1:${port}$`)],
      ["tcp://127.0.0.1:*", /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/],
      ["ipc://*", /^ipc:\/\/\/.*mqcat-ipc-.*\/socket$/],
      ["ipc://@mqcat-last-endpoint", /^ipc:\/\/@mqcat-last-endpoint$/],
      ["inproc://last-endpoint", /^inproc:\/\/last-endpoint$/],
    ];
    const log = new SocketLog();
    await using pull = new Pull({ onEvent: log.onEvent });
    for (const [endpoint, bound] of given) {
      const real = await pull.bind(endpoint);
      assert.match(real, bound);
      assert.equal(log.of("listening").at(-1)!.endpoint, real);
      await using push = new Push();
      push.connect(real);
      await passes(push, pull, endpoint);
    }
  });

  it("ipc_wildcard - uses a private folder that is removed with the socket", async () => {
    await using pull = new Pull();
    const [first, second] = [await pull.bind("ipc://*"), await pull.bind("ipc://*")];
    assert.notEqual(first, second);
    const folder = dirname(first.slice("ipc://".length));
    assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
    await pull.close();
    assert.equal(fs.existsSync(folder), false);
    await using push = new Push();
    assert.throws(() => push.connect("ipc://*"), EndpointError);
  });

  it("abstract_ipc - a name without a file, bound once", async () => {
    const name = `ipc://@mqcat-${crypto.randomUUID()}`;
    await using pull = new Pull();
    await using push = new Push();
    push.connect(await pull.bind(name));
    await passes(push, pull, "abstract");
    assert.equal(fs.existsSync(name.slice("ipc://".length)), false);
    await using other = new Pull();
    await assert.rejects(other.bind(name), AddressInUseError);
    await pull.unbind(name);
    await other.bind(name);
  });

  for (const endpoint of ["tcp://127.0.0.1:0", "ipc://@mqcat-term-endpoint", "inproc://term-endpoint"]) {
    it(`term_endpoint - unbind disconnects the peers of the endpoint, and the name is free: ${endpoint}`, async () => {
      await using push = new Push();
      await using pull = new Pull({ reconnect: { first: 2, longest: 5 } });
      const bound = await push.bind(endpoint);
      const other = await push.bind("inproc://term-endpoint-other");
      pull.connect(bound);
      await passes(push, pull, "before");
      await push.unbind(bound);
      await waitFor(() => push.peers === 0 && pull.peers === 0);
      await assert.rejects(push.unbind(bound), /^EndpointError: Cannot unbind .*: nothing is bound to it$/);
      await push.bind(bound);
      await passes(push, pull, "after");
      await using last = new Pull();
      last.connect(other);
      await waitFor(() => last.peers === 1);
      await push.unbind(other);
      await waitFor(() => last.peers === 0);
      assert.equal(pull.peers, 1, "unbinding one endpoint ended a peer of the other");
    });
  }

  it("term_endpoint - disconnect closes one connection and does not reconnect", async () => {
    await using push = new Push();
    await using first = new Pull();
    await using second = new Pull();
    const [one, two] = [await first.bind(":0"), await second.bind(":0")];
    push.connect(one);
    push.connect(two);
    await waitFor(() => push.peers === 2);
    await push.disconnect(one);
    await waitFor(() => push.peers === 1 && first.peers === 0);
    for (const text of ["a", "b", "c"]) await passes(push, second, text);
    assert.equal(first.peers, 0);
    await assert.rejects(
      push.disconnect(one),
      /^EndpointError: Cannot disconnect .*: nothing connects to it$/,
    );
  });

  it("term_endpoint - queued messages of a disconnected peer are sent to another peer", async () => {
    const name = inproc(); // inproc buffers nothing, so sent messages wait here.
    await using push = new Push();
    await using still = new Pull();
    still.consume(() => {});
    still.pause();
    await still.bind(name);
    push.connect(name);
    await waitFor(() => push.peers === 1);
    for (const text of ["1", "2", "3"]) await push.send(text);
    await using pull = new Pull();
    push.connect(await pull.bind(inproc()));
    await waitFor(() => push.peers === 2);
    await push.disconnect(name);
    const came = [];
    for (let i = 0; i < 3; i++) came.push(texts(await deadline(pull.receive()))![0]);
    assert.deepEqual(came.sort(), ["1", "2", "3"]);
  });

  it("inproc_connect - several sockets connect before the bind and after an unbind", async () => {
    const name = inproc();
    await using pull = new Pull();
    const pushes = Array.from({ length: 10 }, () => new Push({ reconnect: { first: 2, longest: 5 } }));
    for (const push of pushes) push.connect(name);
    const sent = pushes.map((push, i) => push.send(`${i}`));
    await pull.bind(name);
    const came = [];
    for (let i = 0; i < 10; i++) came.push(Number(texts(await deadline(pull.receive()))![0]));
    assert.deepEqual(came.sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await Promise.all(sent);
    await pull.unbind(name);
    await waitFor(() => pushes.every((push) => push.peers === 0));
    await pull.bind(name);
    await passes(pushes[3]!, pull, "again");
    await Promise.all(pushes.map((push) => push.close()));
  });

  it("inproc_connect - a socket without a bound peer closes at once", async () => {
    await using push = new Push();
    push.connect(inproc());
    await deadline(push.close(), 1000, "the close");
  });
});
