import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { run, start, test, through } from "../support/mqcat.ts";

describe("-D and -F", () => {
  test("-D - each is one message, in order, including newlines", async () => {
    const printed = await through(["push", "-D", "a", "-D", "", "--data", "b\nc"], ["pull", "-f", "[%s]"]);
    assert.equal(printed.toString(), "[a][][b\nc]");
  });

  test("-F - a whole file is one message; -D is sent before it", async () => {
    using dir = tempDir();
    const bytes = Buffer.from([0, 10, 255, 10, 0]);
    fs.writeFileSync(dir.file("binary"), bytes);
    fs.writeFileSync(dir.file("empty"), "");
    const printed = await through(
      ["push", "-F", dir.file("binary"), "-D", "x", "-F", dir.file("empty")],
      ["pull", "--out", "u32"],
    );
    assert.deepEqual([...printed], [0, 0, 0, 1, 120, 0, 0, 0, 5, ...bytes, 0, 0, 0, 0]);
  });

  test("-D, -F - do not wait for an open stdin", async () => {
    for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
      using receiving = start([receiver, "@:0", "-n", "2"]);
      using sending = start([sender, `>${await receiving.readyEndpoint()}`, "-D", "a", "-D", "b"], {
        open: true,
      });
      assert.equal((await sending.exit()).code, 0);
      assert.equal((await receiving.exit()).stdout.toString(), "a\nb\n");
    }
    using rep = start(["rep", ":0", "-D", "pong", "-n", "1"], { open: true });
    using req = start(["req", await rep.readyEndpoint(), "-D", "ping"], { open: true });
    assert.equal((await req.exit()).stdout.toString(), "pong\n");
    assert.equal((await rep.exit()).code, 0);
  });

  test("-D, -F - leave stdin unread for the next program", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("script"), "kept\n");
    using pull = start(["pull", ":0", "-n", "1"]);
    const stdin = fs.openSync(dir.file("script"), "r");
    try {
      // Parent and child share the position of a descriptor, so a read by the child would be visible here.
      using push = start(["push", await pull.readyEndpoint(), "-D", "x"], { stdinFrom: stdin });
      assert.equal((await push.exit()).code, 0);
      const rest = Buffer.alloc(10);
      assert.equal(fs.readSync(stdin, rest), 5);
    } finally {
      fs.closeSync(stdin);
    }
    assert.equal((await pull.exit()).code, 0);
  });

  test("-D, -F - repeat with -n and pacing", async () => {
    const printed = await through(["push", "-D", "a", "-D", "b", "--rate", "1000", "-n", "5"], ["pull"]);
    assert.equal(printed.toString(), "a\nb\na\nb\na\n");
  });

  test("usage - a missing file, and options that have nothing to split", async () => {
    const missing = await run(["push", ":1", "-F", "/no/such/file"]);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^mqcat: push: -F '\/no\/such\/file': .*no such file/i);
    for (const option of ["-0", "-J", "--in=blob"]) {
      const { code, stderr } = await run(["push", ":1", "-D", "a", option]);
      assert.equal(code, 2, option);
      assert.match(stderr, /-D and -F give whole messages, so --in, -J and -0 have nothing to split/);
    }
  });

  test("stdin - can be a file or a FIFO", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("input"), "from\na\nfile");
    const stdin = fs.openSync(dir.file("input"), "r");
    try {
      assert.equal((await through(["push"], ["pull"], { stdinFrom: stdin })).toString(), "from\na\nfile\n");
    } finally {
      fs.closeSync(stdin);
    }
  });
});
