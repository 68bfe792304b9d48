/** ipc and unix endpoints: socket files that are live, stale, busy or not sockets, and abstract names. */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { AddressInUseError, EndpointError, UnreachableError } from "../../../lib/errors.ts";
import type { ByteStream, Listener } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { removeStaleSocket } from "../../../lib/transport/unix_path.ts";
import { deadline, tempDir, TestPeer } from "../../support/helpers.ts";
import { fillBacklog, frozenListener } from "./frozen_listener.ts";
import { onDeno, runtimes } from "../../support/stream_adapters.ts";

const ignore = () => {};

/** Listens, sends `word` on every connection, and closes it. */
function greeter(endpoint: string, word: string): Promise<Listener> {
  return listen(endpoint, async (stream) => {
    const peer = new TestPeer(stream);
    await peer.write(word).catch(() => {}); // A client that only probes does not wait for it.
    stream.close();
  });
}

/** Returns the word of the listener at `endpoint`. */
async function ask(endpoint: string): Promise<string> {
  const peer = new TestPeer(await connect(endpoint));
  await peer.untilEnd();
  peer.stream.close();
  return peer.text();
}

describe("transport - ipc", () => {
  it("bind - a folder that does not exist, or is a file, is a mistake in the endpoint", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("file"), "");
    for (const path of ["none/s", "file/s", "file/none/s"]) {
      await assert.rejects(
        listen(`ipc://${dir.file(path)}`, ignore),
        (error) => error instanceof EndpointError && /the folder does not exist/.test(error.message),
      );
    }
  });

  for (const scheme of ["ipc", "unix"]) {
    it(`${scheme} - the endpoint is the address of both ends, and close removes the file`, async () => {
      using dir = tempDir();
      const endpoint = `${scheme}://${dir.file("s")}`;
      const accepted = Promise.withResolvers<ByteStream>();
      const listener = await listen(endpoint, accepted.resolve);
      assert.equal(listener.endpoint, endpoint);
      assert.ok(fs.statSync(dir.file("s")).isSocket());
      const near = await connect(endpoint);
      const far = await deadline(accepted.promise);
      assert.deepEqual([near.remote, far.local], [endpoint, endpoint]);
      near.close();
      far.close();
      await deadline(listener.close());
      assert.deepEqual(fs.readdirSync(dir.path), []);
    });
  }

  it("ipc - no listener is an UnreachableError that says so", async () => {
    using dir = tempDir();
    const endpoint = `ipc://${dir.file("s")}`;
    await assert.rejects(connect(endpoint), (error: unknown) => {
      assert.ok(error instanceof UnreachableError, String(error));
      assert.equal(
        error.message,
        `Cannot connect to ${endpoint}: no such socket: nothing is listening there`,
      );
      return true;
    });
  });

  it("ipc - a live socket file is not replaced", async () => {
    using dir = tempDir();
    const endpoint = `ipc://${dir.file("s")}`;
    const first = await greeter(endpoint, "first");
    try {
      await assert.rejects(listen(endpoint, ignore), (error: unknown) => {
        assert.ok(error instanceof AddressInUseError, String(error));
        assert.equal(error.message, `Cannot bind ${endpoint}: another program listens on it`);
        return true;
      });
      assert.equal(await ask(endpoint), "first");
    } finally {
      await first.close();
    }
  });

  it("ipc - the file of a killed process refuses a connect, and bind replaces it", async () => {
    using dir = tempDir();
    const endpoint = `ipc://${dir.file("s")}`;
    await using frozen = await frozenListener(dir.file("s"));
    await frozen.kill();
    assert.ok(fs.statSync(dir.file("s")).isSocket(), "the killed process left no file");
    await assert.rejects(connect(endpoint), (error: unknown) => {
      assert.ok(error instanceof UnreachableError, String(error));
      assert.match(error.message, /connection refused/);
      return true;
    });
    const listener = await greeter(endpoint, "second");
    assert.equal(await ask(endpoint), "second");
    await listener.close();
  });

  for (const [name, runtime] of runtimes) {
    const skip = onDeno ? false : "Bun 1.4 calls a full queue ECONNREFUSED";
    it(`ipc - a live socket whose queue is full is not stale (${name})`, { skip }, async () => {
      using dir = tempDir();
      const path = dir.file("s");
      await using _frozen = await frozenListener(path);
      using _full = await fillBacklog({ path });
      assert.equal(await removeStaleSocket(path, runtime), "live");
      assert.ok(fs.existsSync(path));
    });
  }

  it("ipc - a second close does not remove the file of the next listener", async () => {
    using dir = tempDir();
    const endpoint = `ipc://${dir.file("s")}`;
    const first = await greeter(endpoint, "first");
    await first.close();
    const second = await greeter(endpoint, "second");
    await first.close();
    assert.equal(await ask(endpoint), "second");
    await second.close();
  });

  it("ipc - a file that is not a socket is neither removed nor overwritten", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("notes"), "keep me");
    await assert.rejects(listen(`ipc://${dir.file("notes")}`, ignore), {
      name: "EndpointError",
      message: /the path is a file \(choose/,
    });
    assert.equal(fs.readFileSync(dir.file("notes"), "utf8"), "keep me");
  });

  it("ipc - bind in a missing folder is an error", async () => {
    using dir = tempDir();
    await assert.rejects(listen(`ipc://${dir.file("no/s")}`, ignore), (error: unknown) => {
      assert.ok(error instanceof EndpointError, String(error));
      assert.match(error.message, /^Cannot bind ipc:.*folder/);
      return true;
    });
  });

  it("ipc - a path of 107 bytes works", async () => {
    using dir = tempDir();
    const path = dir.file("p".repeat(106 - dir.path.length));
    assert.equal(path.length, 107);
    const listener = await greeter(`ipc://${path}`, "long");
    assert.equal(await ask(`ipc://${path}`), "long");
    await listener.close();
  });
});

describe("transport - abstract names", { skip: process.platform === "linux" ? false : "Linux only" }, () => {
  const unique = (what: string) => `mqcat-test-${what}-${process.pid}-${Date.now()}`;

  it("ipc://@name - needs no file, and is free after close", async () => {
    const name = unique("open");
    const endpoint = `ipc://@${name}`;
    for (let round = 0; round < 2; round++) {
      const listener = await greeter(endpoint, `abstract ${round}`);
      assert.equal(listener.endpoint, endpoint);
      assert.equal(await ask(endpoint), `abstract ${round}`);
      assert.ok(!fs.existsSync(`@${name}`) && !fs.existsSync(name));
      await listener.close();
      await assert.rejects(connect(endpoint), UnreachableError);
    }
  });

  it("ipc://@name - other programs see NUL and the exact bytes of the name", async () => {
    const name = unique("seen");
    const listener = await greeter(`ipc://@${name}`, "x");
    const lines = fs.readFileSync("/proc/net/unix", "utf8").split("\n");
    assert.ok(lines.some((line) => line.endsWith(` @${name}`)), "not in /proc/net/unix under its exact name");
    await listener.close();
  });

  it("ipc://@name - a name in use is an AddressInUseError", async () => {
    const endpoint = `ipc://@${unique("taken")}`;
    const first = await greeter(endpoint, "first");
    await assert.rejects(listen(endpoint, ignore), AddressInUseError);
    assert.equal(await ask(endpoint), "first");
    await first.close();
  });
});
