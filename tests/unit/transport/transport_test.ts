import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import os from "node:os";
import { describe, it } from "node:test";
import { AddressInUseError, EndpointError, UnreachableError } from "../../../lib/errors.ts";
import { parseEndpoint } from "../../../lib/transport/endpoint.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { deadline, tempDir, TestPeer } from "../../support/helpers.ts";
import { freePort } from "../../support/ports.ts";
import { fillBacklog, frozenListener } from "./frozen_listener.ts";
import { NEVER, runtimes } from "../../support/stream_adapters.ts";

const ignore = () => {};

/** Binds `text`, connects to it, sends a word in each direction, and returns the bound endpoint. */
async function roundTrip(text: string, dial = (bound: string) => bound): Promise<string> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await listen(text, accepted.resolve);
  try {
    const near = new TestPeer(await connect(dial(listener.endpoint)));
    const far = new TestPeer(await deadline(accepted.promise));
    await near.write("ping");
    await far.atLeast(4);
    await far.write("pong");
    await near.atLeast(4);
    near.stream.close();
    far.stream.close();
  } finally {
    await deadline(listener.close());
  }
  return listener.endpoint;
}

const ipv6 = Object.values(os.networkInterfaces()).some((list) =>
  list?.some((entry) => entry.address === "::1")
);
const hasLo = os.networkInterfaces()["lo"]?.[0]?.address === "127.0.0.1";
const families = new Set((await lookup("localhost", { all: true })).map((entry) => entry.family));

describe("transport", () => {
  it("connect - a refused connection is an error that names the endpoint", async () => {
    const endpoint = `tcp://127.0.0.1:${await freePort()}`;
    await assert.rejects(
      connect(endpoint),
      (error: unknown) => {
        assert.ok(error instanceof UnreachableError, String(error));
        assert.equal(
          error.message,
          `Cannot connect to ${endpoint}: connection refused: nothing is listening there`,
        );
        assert.ok(error.cause instanceof Error);
        return true;
      },
    );
  });

  it("connect - an unknown host is an error that names it", async () => {
    await assert.rejects(connect("tcp://no-such-host.invalid:1"), (error: unknown) => {
      assert.ok(error instanceof UnreachableError, String(error));
      assert.match(
        error.message,
        /^Cannot connect to tcp:.*: the host name 'no-such-host.invalid' does not resolve$/,
      );
      return true;
    });
  });

  it("connect - port 0 and udp are an EndpointError", async () => {
    await assert.rejects(connect("tcp://127.0.0.1:0"), EndpointError);
    await assert.rejects(connect("udp://127.0.0.1:1"), EndpointError);
    await assert.rejects(listen("udp://127.0.0.1:1", ignore), EndpointError);
  });

  it("connect - an aborted signal rejects with its reason", async () => {
    const listener = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
    try {
      const reason = new Error("changed my mind");
      await assert.rejects(connect(listener.endpoint, { signal: AbortSignal.abort(reason) }), reason);
    } finally {
      await listener.close();
    }
  });

  it("listen - port 0 becomes the real port", async () => {
    assert.match(await roundTrip("tcp://127.0.0.1:0"), /^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/);
  });

  it("listen - * binds every interface, and becomes 0.0.0.0", async () => {
    const bound = await roundTrip("tcp://*:*", (endpoint) => endpoint.replace("0.0.0.0", "127.0.0.1"));
    assert.match(bound, /^tcp:\/\/0\.0\.0\.0:[1-9]\d+$/);
  });

  it("listen - localhost", async () => {
    assert.match(await roundTrip("tcp://localhost:0"), /^tcp:\/\/localhost:[1-9]\d+$/);
  });

  it("listen - [::1]", { skip: ipv6 ? false : "this machine has no IPv6" }, async () => {
    assert.match(await roundTrip("tcp://[::1]:0"), /^tcp:\/\/\[::1\]:[1-9]\d+$/);
  });

  const skip = ipv6 && families.size === 2 ? false : "localhost is not both IPv4 and IPv6 here";
  it("connect - localhost finds a listener on IPv6 only", { skip }, async () => {
    await roundTrip("tcp://[::1]:0", (endpoint) => endpoint.replace("[::1]", "localhost"));
  });

  it("listen - an address of another machine cannot be bound", async () => {
    await assert.rejects(listen("tcp://192.0.2.1:0", ignore), (error: unknown) => {
      assert.ok(error instanceof EndpointError, String(error));
      assert.equal(
        error.message,
        "Cannot bind tcp://192.0.2.1:0: the address does not belong to this machine",
      );
      return true;
    });
  });

  it("listen - an address in use is an AddressInUseError, and is free after close", async () => {
    const first = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
    const endpoint = parseEndpoint(first.endpoint);
    await assert.rejects(listen(endpoint, ignore), (error: unknown) => {
      assert.ok(error instanceof AddressInUseError, String(error));
      assert.equal(
        error.message,
        `Cannot bind ${first.endpoint}: the address is in use: another program is bound to it`,
      );
      return true;
    });
    await deadline(first.close());
    const again = await listen(endpoint, ignore);
    await deadline(again.close());
  });

  it(
    "listen - the name of an interface binds its address",
    { skip: hasLo ? false : "there is no 'lo'" },
    async () => {
      assert.match(await roundTrip("tcp://lo:*"), /^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/);
    },
  );

  it("listen - [::] binds every interface of both families", {
    skip: ipv6 ? false : "this machine has no IPv6",
  }, async () => {
    await roundTrip("tcp://[::]:0", (endpoint) => endpoint.replace("[::]", "127.0.0.1"));
    await roundTrip("tcp://[::]:0", (endpoint) => endpoint.replace("[::]", "[::1]"));
  });

  const linkLocal =
    Object.entries(os.networkInterfaces()).flatMap(([name, list]) =>
      (list ?? []).filter(({ address }) => address.startsWith("fe80:")).map(({ address }) =>
        `${address}%${name}`
      )
    )[0];
  it("listen - a link-local address with its zone", {
    skip: linkLocal === undefined ? "this machine has none" : false,
  }, async () => {
    const bound = await roundTrip(`tcp://[${linkLocal}]:0`);
    assert.match(bound, /^tcp:\/\/\[fe80:.*%\w+\]:[1-9]\d+$/);
  });

  it("listen - refuses a source address", async () => {
    await assert.rejects(
      listen("tcp://127.0.0.1:0;127.0.0.1:0", ignore),
      /^EndpointError: Cannot bind .*: a source address is for connecting$/,
    );
  });

  it("connect - from a source address and port, libzmq's form", async () => {
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listen("tcp://127.0.0.1:0", accepted.resolve);
    const port = await freePort();
    const to = listener.endpoint.slice("tcp://".length);
    const near = await connect(`tcp://127.0.0.2:${port};${to}`);
    const far = await deadline(accepted.promise);
    assert.equal(far.remote, `tcp://127.0.0.2:${port}`);
    assert.equal(near.local, `tcp://127.0.0.2:${port}`);
    near.close();
    far.close();
    await listener.close();
  });

  it("connect - a source address of another machine is an error", async () => {
    const listener = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
    const to = listener.endpoint.slice("tcp://".length);
    try {
      await assert.rejects(
        connect(`tcp://192.0.2.250:*;${to}`),
        /the address does not belong to this machine/,
      );
    } finally {
      await listener.close();
    }
  });

  it("inproc - connect waits until the name is bound", async () => {
    const endpoint = parseEndpoint("inproc://transport-test");
    const nears = [connect(endpoint), connect(endpoint)];
    const gone = new AbortController();
    const third = connect(endpoint, { signal: gone.signal });
    gone.abort(new Error("changed my mind"));
    await assert.rejects(third, /changed my mind/);
    const fars: ByteStream[] = [];
    const listener = await listen(endpoint, (stream) => fars.push(stream));
    for (const near of await deadline(Promise.all(nears))) near.close();
    assert.equal(fars.length, 2);
    await listener.close();
  });

  it("inproc - a name can be bound once", async () => {
    const endpoint = parseEndpoint("inproc://transport-test");
    const first = await listen(endpoint, ignore);
    await assert.rejects(listen(endpoint, ignore), AddressInUseError);
    await first.close();
    const second = await listen(endpoint, ignore);
    await first.close();
    await assert.rejects(
      listen(endpoint, ignore),
      AddressInUseError,
      "closing twice took the name from the second",
    );
    await second.close();
    assert.equal(await roundTrip("inproc://transport-test"), "inproc://transport-test");
  });
});

for (const [name, runtime] of runtimes) {
  describe(`transport - ${name} runtime`, () => {
    it("connectTcp - refused", async () => {
      await assert.rejects(runtime.connectTcp("127.0.0.1", await freePort(), NEVER), (error: unknown) => {
        assert.ok(error instanceof UnreachableError, String(error));
        assert.match(error.message, /^Connection refused/);
        return true;
      });
    });

    it("connectTcp - the signal ends a connect that hangs", async () => {
      await using frozen = await frozenListener();
      const where = { host: "127.0.0.1", port: frozen.port };
      using _full = await fillBacklog(where);
      const abort = new AbortController();
      const connecting = runtime.connectTcp(where.host, where.port, abort.signal);
      abort.abort();
      await assert.rejects(deadline(connecting, 2000, "the aborted connect"), (error: unknown) => {
        assert.ok(error instanceof DOMException, String(error));
        assert.equal(error.name, "AbortError");
        return true;
      });
    });

    it("connectTcp, connectUnix - a peer process that is killed closes the stream with an error", async () => {
      using dir = tempDir();
      const path = dir.file("s");
      await using overTcp = await frozenListener();
      await using overUnix = await frozenListener(path);
      const peers = [
        new TestPeer(await runtime.connectTcp("127.0.0.1", overTcp.port, NEVER)),
        new TestPeer(await runtime.connectUnix(path, `ipc://${path}`, NEVER)),
      ];
      for (const peer of peers) await peer.write("nobody will read this");
      await overTcp.kill();
      await overUnix.kill();
      for (const peer of peers) {
        // A connection that was never accepted may end before it resets; writing on then meets the reset.
        await peer.until(() => peer.over || peer.ended, 5000, () => "the peer to be gone");
        if (!peer.over) peer.stream.write(Uint8Array.of(1));
        const cause = await peer.untilClosed(5000);
        assert.ok(cause instanceof UnreachableError, `${peer.stream.remote} closed with ${cause}`);
        assert.match(cause.message, /^The connection broke: ./);
      }
    });

    it("listenTcp - close frees the address while accepted streams stay open", async () => {
      const accepted = Promise.withResolvers<ByteStream>();
      const listener = await runtime.listenTcp("127.0.0.1", 0, 10, accepted.resolve);
      const near = new TestPeer(await runtime.connectTcp("127.0.0.1", listener.port, NEVER));
      const far = new TestPeer(await deadline(accepted.promise));
      await deadline(listener.close(), 2000, "the listener to close beside a live stream");
      await deadline(listener.close(), 2000, "the second close");
      await assert.rejects(runtime.connectTcp("127.0.0.1", listener.port, NEVER), UnreachableError);
      await near.write("still here");
      await far.atLeast(10);
      assert.equal(near.stream.remote, `tcp://127.0.0.1:${listener.port}`);
      assert.equal(far.stream.remote, near.stream.local);
      near.stream.close();
      far.stream.close();
    });
  });
}
