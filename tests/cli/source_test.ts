import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { run, shell, start, test, through } from "../support/mqcat.ts";

describe("-D and -F", () => {
  test("-D - each is one message, in order, including newlines", async () => {
    const printed = await through(["push", "-D", "a", "-D", "", "--text", "b\nc"], ["pull", "-f", "[%s]"]);
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

  test("-F - - is the whole of stdin as one message, in its place", async () => {
    const printed = await through(
      ["push", "-D", "x", "-F", "-", "-n", "5", "--rate", "1000"],
      ["pull", "-f", "[%s]"],
      { stdin: "a\nb\n" },
    );
    assert.equal(printed.toString(), "[x][a\nb\n][x][a\nb\n][x]");
    const topics = await through(["pub", "-t", "t", "-F", "-"], ["sub", "-f", "[%t %s]"], { stdin: "" });
    assert.equal(topics.toString(), "[t ]");
    const twice = await run(["push", ":1", "-F", "-", "-F", "-"]);
    assert.deepEqual([twice.code, /stdin, which can be read only once/.test(twice.stderr)], [2, true]);
    using open = start(["push", ":1", "-F", "-"], { stdin: "a", open: true });
    await open.waitForStderr(/trying again/);
    open.kill("SIGTERM");
    const { code, stderr } = await open.exit();
    assert.deepEqual([code, /1 message could not be delivered/.test(stderr)], [5, true], stderr);
  });

  test("arguments that are not UTF-8 - are refused with the way out; U+FFFD itself is text", async () => {
    const cases: [words: string, remedy: RegExp][] = [
      ["sub :1 -t", /--topic '.*' is not UTF-8 \(use the part/],
      ["pub :0 -t", /--topic '.*' is not UTF-8 \(topic_base64 in the records of -J/],
      ["pub :0 -K", /--key-separator '.*' is not UTF-8/],
      ["dealer :1 --identity", /--identity '.*' is not UTF-8 \(0x and hexadecimal digits/],
      ["pull :0 -f", /--format '.*' is not UTF-8 \(\\xNN is a byte\)/],
      ["pull :0 --exec", /--exec '.*' is not UTF-8 \(put the command into a script\)/],
      ["queue put q -H", /--header '.*' is not UTF-8 \(-J can have other bytes/],
      ["push :1 -F", /--file '.*' is not UTF-8 \(-F - reads the file as stdin\)/],
      ["push :1 -D", /--text '.*' is not UTF-8 \(a file, -F, or stdin can have other bytes\)/],
      ["push :1 --text=x", /--text '.*' is not UTF-8/],
      ["queue get", /argument '.*' is not UTF-8/],
      ["queue run --memory -- echo", /argument '.*' is not UTF-8 \(put the command into a script\)/],
    ];
    await Promise.all(cases.map(async ([words, remedy]) => {
      const separator = words.endsWith("=x") ? "" : " ";
      using program = shell(`mqcat ${words}${separator}$'a: \\xff\\xfe'`);
      const { code, stdout, stderr } = await program.exit();
      assert.deepEqual([code, stdout.length], [2, 0], `${words}: ${stderr}`);
      assert.match(stderr, remedy);
    }));
    const printed = await through(["push", "-D", "\ufffd"], ["pull"]);
    assert.equal(printed.toString(), "\ufffd\n");
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

  test("stdin - an error names it", async () => {
    const folder = fs.openSync("/", "r");
    const { code, stderr } = await run(["push", "@:0"], { stdinFrom: folder });
    fs.closeSync(folder);
    assert.match(stderr, /cannot read stdin: it is a directory, not a file$/m);
    assert.equal(code, 1);
  });
});
