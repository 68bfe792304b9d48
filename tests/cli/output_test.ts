/** Failures of stdout: a reader that exits, a full disk. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { readyFile, run, shell, start, test } from "../support/mqcat.ts";

const HAS_FULL_DEVICE = fs.existsSync("/dev/full");

describe("stdout", () => {
  for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
    test(`${receiver} | head -1 - ends the receiver without an error, like SIGPIPE: 141`, async () => {
      using piped = shell(`mqcat ${receiver} @:0 | head -1; echo "\${PIPESTATUS[*]}"`);
      const endpoint = await piped.readyEndpoint();
      const script = `yes line | mqcat ${sender} '>${endpoint}' -q --linger 0`;
      using _sending = shell(script);
      const { stdout, stderr } = await piped.exit();
      assert.equal(stdout.toString(), "line\n141 0\n");
      assert.match(stderr, /^mqcat: \w+: listening on [^\n]+\n$/);
    });
  }

  test("pull | head -1 - ends at the next message, with pipefail too", async () => {
    using piped = shell("set -o pipefail; mqcat pull :0 | head -1; echo $?");
    const endpoint = await piped.readyEndpoint();
    using push = start(["push", endpoint, "-i", "20ms", "-D", "tick", "--linger", "0"]);
    assert.equal((await piped.exit()).stdout.toString(), "tick\n141\n");
    push.kill();
  });

  test("req | head -1, rep | head -1 - end with 141", async () => {
    using rep = start(["rep", ":0", "--echo"]);
    const script = `yes q | mqcat req '${await rep.readyEndpoint()}' | head -1; echo "\${PIPESTATUS[*]}"`;
    assert.equal((await shell(script).exit()).stdout.toString(), "q\n141 141 0\n");
    using served = shell('mqcat rep :0 -D r | head -1; echo "${PIPESTATUS[*]}"');
    using req = start(["req", await served.readyEndpoint(), "-i", "10ms", "-D", "q", "-w", "1s", "-q"]);
    assert.equal((await served.exit()).stdout.toString(), "q\n141 0\n");
    req.kill();
  });

  test("a reader that exits before the first message - ends the receiver", async () => {
    using pull = start(["pull", ":0"]);
    const endpoint = await pull.readyEndpoint();
    pull.closeStdout();
    assert.equal((await run(["push", endpoint], { stdin: "1\n" })).code, 0);
    const { code, stderr } = await pull.exit();
    assert.deepEqual([code, stderr.trimEnd().split("\n").length], [141, 1], stderr);
  });

  test("help pages - end without an error in a closed pipe", async () => {
    const { stdout, stderr } = await shell('mqcat --help | true; echo "${PIPESTATUS[*]}"').exit();
    assert.match(stdout.toString(), /^(0|141) 0\n$/);
    assert.equal(stderr, "");
  });

  if (HAS_FULL_DEVICE) {
    test("a full device - is reported, and the exit code is 1", async () => {
      await Promise.all([["push", "pull"], ["pub", "sub"], ["req", "rep"]].map(async ([sender, receiver]) => {
        const options = receiver === "rep" ? ["-D", "r"] : [];
        using receiving = start([receiver!, "@:0", ...options], { stdout: "/dev/full" });
        const args = [
          sender!,
          `>${await receiving.readyEndpoint()}`,
          ...sender === "req" ? ["-w", "3s"] : [],
        ];
        using _sending = start(args, { stdin: "x\n", open: true });
        const { code, stderr } = await receiving.exit();
        assert.equal(code, 1, receiver);
        assert.match(
          stderr,
          new RegExp(`^mqcat: ${receiver}: cannot write to stdout: .*no space left`, "mi"),
        );
      }));
    });

    test("a full device - keygen reports it, because the public key was not printed", async () => {
      using dir = tempDir();
      const { code, stderr } = await run(["keygen", dir.file("k")], { stdout: "/dev/full" });
      assert.deepEqual([code, /cannot write to stdout: .*no space left/i.test(stderr)], [1, true], stderr);
    });

    test("a full device - req reports it", async () => {
      using rep = start(["rep", ":0", "--echo"]);
      const { code, stderr } = await run(["req", await rep.readyEndpoint()], {
        stdin: "a\nb\n",
        stdout: "/dev/full",
      });
      assert.deepEqual([code, /cannot write to stdout: .*no space left/i.test(stderr)], [1, true], stderr);
    });
  }

  test("stdout - carries only payload, while diagnostics go to stderr", async () => {
    using pull = start(["pull", ":0", "-n", "2", "-vv", "--summary"]);
    const push = await run(["push", await pull.readyEndpoint(), "-vv", "--summary"], { stdin: "a\nb\n" });
    assert.equal(push.stdout.length, 0);
    const { stdout, stderr } = await pull.exit();
    assert.equal(stdout.toString(), "a\nb\n");
    assert.match(stderr, /connected: /);
  });

  test("stdout - appends to a file, and writes each message at once", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("out"), "before\n");
    const script = `mqcat pull :0 -n 1 >> '${dir.file("out")}'`;
    using pull = shell(script);
    assert.equal((await run(["push", await pull.readyEndpoint(), "-D", "after"])).code, 0);
    assert.equal((await pull.exit()).code, 0);
    assert.equal(fs.readFileSync(dir.file("out"), "utf8"), "before\nafter\n");
  });

  if (HAS_FULL_DEVICE) {
    test("stderr - a closed stderr does not stop the command", async () => {
      using dir = tempDir();
      const ready = dir.file("ready");
      using pull = shell(`mqcat pull :0 -n 1 -v --summary --ready-file '${ready}' 2>/dev/full`);
      assert.equal((await run(["push", (await readyFile(ready))[0]!, "-D", "x"])).code, 0);
      const { code, stdout } = await pull.exit();
      assert.deepEqual([code, stdout.toString()], [0, "x\n"]);
    });
  }
});
