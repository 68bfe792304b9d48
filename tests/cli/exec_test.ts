import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { run, start, summaryOf, test, through, transfer } from "../support/mqcat.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");

describe("--exec", () => {
  for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
    test(`${receiver} - the body is the command's stdin, and its output goes to stdout, in order`, async () => {
      const printed = await through([sender], [receiver, "--exec", "tr a-z A-Z; echo '!'"], {
        stdin: "a\n\nb",
      });
      assert.equal(printed.toString(), "A!\n!\nB!\n");
    });
  }

  test("--exec - passes bodies byte for byte, and a command need not read them", async () => {
    const stdin = Buffer.from([0, 0xff, 0x0a, 0xc3]);
    const printed = await through(["push", "--in", "blob"], ["pull", "--exec", "cat", "--out", "blob"], {
      stdin,
    });
    assert.deepEqual([...printed], [...stdin]);
    const large = { stdin: Buffer.alloc(3_000_000, "x") };
    assert.equal((await through(["push"], ["pull", "--exec", "true"], large)).length, 0);
    assert.equal((await through(["push"], ["pull", "--exec", "wc -c"], large)).toString().trim(), "3000000");
  });

  test("--exec - adds a missing last newline to the output of lines, and changes no other output", async () => {
    const exec = ["--exec", "printf %s $MQCAT_SEQ"];
    assert.equal((await through(["push"], ["pull", ...exec], { stdin: "a\nb\n" })).toString(), "1\n2\n");
    const blob = await through(["push"], ["pull", ...exec, "--out", "blob"], { stdin: "a\nb\n" });
    assert.equal(blob.toString(), "12");
  });

  test("--exec - describes the message in MQCAT_*", async () => {
    const exec = [
      "--exec",
      'echo "$MQCAT_SEQ $MQCAT_PARTS $MQCAT_SIZE ${MQCAT_TOPIC-none} ${MQCAT_ENDPOINT%:*}"',
    ];
    const stdin = '{"topic":"T","body":"abc"}\n{"body":""}\n{"topic":"ü x","parts":["a","bc"]}\n';
    const sub = await through(["pub", "-J"], ["sub", ...exec], { stdin });
    const where = "tcp://127.0.0.1";
    assert.equal(sub.toString(), `1 2 3 T ${where}\n2 1 0 none ${where}\n3 3 3 ü x ${where}\n`);
    const pull = await through(["push", "-J"], ["pull", ...exec], { stdin });
    assert.equal(pull.toString().split("\n")[0], `1 2 4 none ${where}`, "PULL knows no topics");
  });

  test("-j - runs N commands at a time, and does not mix their outputs", async () => {
    using dir = tempDir();
    // No command continues before four are running.
    const meet =
      `touch ${dir.path}/$MQCAT_SEQ; while [ $(ls ${dir.path} | wc -l) -lt 4 ]; do sleep 0.02; done`;
    const exec = ["--exec", `printf '<'; ${meet}; cat; printf '>'`, "-j", "4"];
    const printed = await through(["push"], ["pull", ...exec], { stdin: numbers(4) });
    assert.deepEqual(printed.toString().trimEnd().split("\n").sort(), ["<1>", "<2>", "<3>", "<4>"]);
  });

  test("-j - is 1 by default: one command at a time, in order", async () => {
    using dir = tempDir();
    const alone = `mkdir ${dir.path}/lock || echo overlap; cat; rmdir ${dir.path}/lock`;
    const printed = await through(["push"], ["pull", "--exec", alone], { stdin: numbers(20) });
    assert.equal(printed.toString(), numbers(20));
  });

  test("a failing command - is reported by message number, gives exit code 6, and stops no others", async () => {
    for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
      const exec = ["--exec", "read n; [ $n != 2 ] && echo ok $n"];
      const { received } = await transfer([sender], [receiver, ...exec], { stdin: numbers(3) });
      assert.deepEqual([received.code, received.stdout.toString()], [6, "ok 1\nok 3\n"]);
      assert.match(
        received.stderr,
        new RegExp(`^mqcat: ${receiver}: --exec: message 2: it exited with 1$`, "m"),
      );
    }
  });

  test("a failing command - includes one that a signal ended and one that does not exist", async () => {
    const killed = await transfer(["push"], ["pull", "--exec", "kill -9 $$"], { stdin: "x\n" });
    assert.deepEqual([killed.received.code, /it was ended by SIGKILL/.test(killed.received.stderr)], [
      6,
      true,
    ]);
    const missing = await transfer(["push"], ["pull", "--exec", "/no/such/command"], { stdin: "x\n" });
    assert.deepEqual([missing.received.code, /it exited with 127/.test(missing.received.stderr)], [6, true]);
  });

  test("-n - counts messages, and waits for all their commands", async () => {
    using dir = tempDir();
    using pull = start([
      "pull",
      ":0",
      "-n",
      "3",
      "-j",
      "3",
      "--exec",
      `sleep 0.2; cat > ${dir.path}/$MQCAT_SEQ`,
    ]);
    assert.equal((await run(["push", await pull.readyEndpoint()], { stdin: numbers(3) })).code, 0);
    assert.equal((await pull.exit()).code, 0);
    assert.deepEqual([1, 2, 3].map((n) => fs.readFileSync(dir.file(`${n}`), "utf8")), ["1", "2", "3"]);
  });

  test("a signal - lets running commands finish, starts no others, and reports unprocessed messages", async () => {
    using dir = tempDir();
    const exec = `touch ${dir.path}/begun; while [ ! -e ${dir.path}/go ]; do sleep 0.02; done; cat`;
    using pull = start(["pull", ":0", "-v", "--exec", exec, "--summary"]);
    assert.equal((await run(["push", await pull.readyEndpoint()], { stdin: numbers(5) })).code, 0);
    await waitFor(() => fs.existsSync(dir.file("begun")), 10_000, "the first command");
    pull.kill("SIGTERM");
    await pull.waitForStderr(/SIGTERM: finishing/);
    fs.writeFileSync(dir.file("go"), "");
    const { code, stdout, stderr } = await pull.exit();
    assert.equal(stdout.toString(), "1\n");
    assert.match(stderr, /^mqcat: pull: --exec was not run for 4 messages that arrived$/m);
    assert.deepEqual([code, summaryOf(stderr)["unsent"]], [5, 4]);
  });

  test("busy commands - hold the sender back", async () => {
    using pull = start(["pull", ":0", "--exec", "sleep 1000"]);
    const stdin = Buffer.alloc(60_000_000, "x".repeat(99) + "\n");
    const args = ["push", await pull.readyEndpoint(), "-w", "1s", "--summary"];
    const { code, stderr } = await run(args, { stdin });
    assert.equal(code, 3);
    assert.ok(summaryOf(stderr)["sent"]! < 600_000);
  });

  test("a command that prints without an end - is ended with the processes that it started", async () => {
    using pull = start(["pull", ":0", "-n", "1", "--exec", "yes | cat"], { stdout: "/dev/null" });
    await run(["push", await pull.readyEndpoint(), "-D", "x"]);
    const { code, stderr } = await pull.exit();
    assert.match(stderr, /--exec: message 1: it printed more than 268435456 bytes/);
    assert.equal(code, 6);
  });

  test("usage - --out with a framing that the output of commands does not get", async () => {
    for (const out of ["json", "null", "u32"]) {
      const { code, stderr } = await run(["pull", ":0", "--exec", "cat", "--out", out]);
      assert.match(stderr, /--out has no effect with --exec, which passes messages on unchanged/);
      assert.equal(code, 2);
    }
  });

  test("usage - -j without a number, an empty command", async () => {
    const jobs = await run(["pull", ":0", "--exec", "cat", "-j", "0"]);
    assert.deepEqual([jobs.code, /--jobs '0': expected a whole number from 1 to 1024/.test(jobs.stderr)], [
      2,
      true,
    ]);
    const empty = await run(["pull", ":0", "--exec", ""]);
    assert.deepEqual([empty.code, /--exec '': it must not be empty/.test(empty.stderr)], [2, true]);
  });
});
