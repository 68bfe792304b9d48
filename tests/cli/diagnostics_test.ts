import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { run, start, summaryOf, test, transfer } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const COMMANDS = ["pub", "sub", "push", "pull", "req", "rep"];
const { version } = JSON.parse(fs.readFileSync(new URL("../../deno.json", import.meta.url), "utf8"));

describe("verbosity", () => {
  test("-q - prints only errors; -v prints when peers connect and disconnect", async () => {
    using dir = tempDir();
    using quiet = start(["pull", ":0", "-q", "-n", "1", "--ready-file", dir.file("ready")]);
    assert.equal((await run(["push", await quiet.readyEndpoint(), "-q", "-D", "x"])).stderr, "");
    assert.equal((await quiet.exit()).stderr, "");
    const { sent, received } = await transfer(["push", "-v"], ["pull", "-v"], { stdin: "x\n" });
    assert.match(sent.stderr, /^mqcat: push: connected: tcp:\/\/127\.0\.0\.1:\d+ \(PULL, ZMTP 3\.1\)$/m);
    assert.match(received.stderr, /^mqcat: pull: connected: tcp:\/\/127\.0\.0\.1:\d+ \(PUSH, ZMTP 3\.1\)$/m);
    assert.match(received.stderr, /^mqcat: pull: disconnected: tcp:\/\/127\.0\.0\.1:\d+$/m);
    const errors = await run(["push", `:${await freePort()}`, "-q", "--linger", "0", "-D", "x"]);
    assert.equal(errors.stderr, "mqcat: push: 1 message could not be delivered\n");
  });

  test("pub -v - prints subscriptions", async () => {
    const { sent } = await transfer(["pub", "-v"], ["sub", "-t", "topic"], { stdin: "x\n" });
    assert.match(sent.stderr, /^mqcat: pub: subscribed: tcp:\/\/127\.0\.0\.1:\d+ 'topic'$/m);
  });

  test("a peer that does not answer is reported once, not at each attempt", async () => {
    const args = ["push", `:${await freePort()}`, "--linger", "2s", "-D", "x"];
    const { stderr } = await run(args);
    assert.equal(
      stderr.match(/connection refused: nothing is listening there; trying again/g)?.length,
      1,
      stderr,
    );
  });

  test("--log-format json - prints every line as JSON, with the same text", async () => {
    const json = ["-vv", "--log-format", "json", "--summary"];
    const { sent, received } = await transfer(["push", ...json], ["pull", ...json], { stdin: "x\n" });
    const failed = await run(["push", `:${await freePort()}`, ...json, "--linger", "0.5", "-D", "x"]);
    for (const [command, { stderr }] of [["push", sent], ["pull", received], ["push", failed]] as const) {
      const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
      assert.ok(lines.length >= 2);
      for (const { time, level, command: own, message } of lines.slice(0, -1)) {
        assert.equal(own, command);
        assert.ok(Math.abs(Date.now() - Date.parse(time)) < 60_000);
        assert.match(level, /^(error|warning|info|verbose|debug)$/);
        assert.equal(typeof message, "string");
      }
    }
    assert.match(
      failed.stderr,
      /"level":"error","command":"push","message":"1 message could not be delivered"/,
    );
  });

  test("--log-format json - prints usage errors as JSON", async () => {
    const { code, stderr } = await run(["push", "--log-format", "json"]);
    assert.equal(code, 2);
    assert.match(stderr, /no endpoint was given/);
  });
});

describe("--summary", () => {
  const FIELDS = ["sent", "received", "confirmed", "unsent", "dropped", "bytes", "seconds"];

  test("--summary - prints these fields, and counts only the bytes of bodies", async () => {
    for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
      const stdin = "abc\n\nü\n";
      const { sent, received } = await transfer([sender, "--summary"], [receiver, "--summary"], { stdin });
      const [out, into] = [summaryOf(sent.stderr), summaryOf(received.stderr)];
      assert.deepEqual(Object.keys(out), FIELDS);
      assert.deepEqual(Object.keys(into), FIELDS);
      const { seconds, ...rest } = out;
      assert.deepEqual(rest, { sent: 3, received: 0, confirmed: 0, unsent: 0, dropped: 0, bytes: 5 });
      assert.ok(seconds! >= 0 && seconds! < 60);
      const { seconds: _seconds, ...others } = into;
      assert.deepEqual(others, { sent: 0, received: 3, confirmed: 0, unsent: 0, dropped: 0, bytes: 5 });
    }
  });

  test("--summary - counts both directions of req and rep", async () => {
    using rep = start(["rep", ":0", "--echo", "-n", "2", "--summary"]);
    const args = ["req", await rep.readyEndpoint(), "--summary"];
    const asked = summaryOf((await run(args, { stdin: "ab\nc\n" })).stderr);
    const answered = summaryOf((await rep.exit()).stderr);
    assert.deepEqual([asked["sent"], asked["received"], answered["sent"], answered["received"]], [
      2,
      2,
      2,
      2,
    ]);
    assert.deepEqual([asked["bytes"], answered["bytes"]], [3, 3]);
  });

  test("--summary - is printed after an error, a timeout and a signal", async () => {
    const late = await run(["pull", ":0", "-w", "0.1", "--summary"]);
    assert.deepEqual([late.code, summaryOf(late.stderr)["received"]], [3, 0]);
    using ready = start(["sub", "@:0", "--summary"]);
    await ready.readyEndpoint();
    ready.kill("SIGINT");
    const { code, stderr } = await ready.exit();
    assert.deepEqual([code, summaryOf(stderr)["received"]], [130, 0]);
  });

  test("--summary - counts large numbers", async () => {
    const stdin = Buffer.from("12345678\n".repeat(200_000));
    const { sent, received } = await transfer(["push", "--summary"], ["pull", "--summary"], { stdin });
    assert.deepEqual([summaryOf(sent.stderr)["sent"], summaryOf(sent.stderr)["bytes"]], [200_000, 1_600_000]);
    assert.equal(summaryOf(received.stderr)["bytes"], 1_600_000);
  });
});

describe("help", () => {
  test("mqcat --help, -h, help - print groups of commands on stdout, and exit with 0", async () => {
    const pages = await Promise.all([["--help"], ["-h"], ["help"]].map((args) => run(args)));
    for (const { code, stdout, stderr } of pages) {
      assert.deepEqual([code, stderr], [0, ""]);
      const page = stdout.toString();
      assert.match(page, /^ZeroMQ:$/m);
      for (const command of COMMANDS) assert.match(page, new RegExp(`^ {2}${command}\\b.*\\w`, "m"));
      assert.match(
        page.replaceAll(/\s+/g, " "),
        /Exit codes: 0 success, 1 failure, 2 usage, 3 timeout, 4 refused, 5 not everything/,
      );
      assert.equal(page, pages[0]!.stdout.toString());
    }
  });

  test("CMD -h - prints groups of options, each with a description, and examples", async () => {
    const groups: Record<string, string[]> = {
      pub: ["Endpoints", "Messages", "Timing", "Delivery", "Diagnostics"],
      sub: ["Endpoints", "Messages", "Output", "Timing", "Delivery", "Diagnostics"],
      push: ["Endpoints", "Messages", "Timing", "Delivery", "Diagnostics"],
      pull: ["Endpoints", "Output", "Timing", "Delivery", "Diagnostics"],
      req: ["Endpoints", "Messages", "Output", "Timing", "Delivery", "Diagnostics"],
      rep: ["Endpoints", "Messages", "Output", "Timing", "Delivery", "Diagnostics"],
    };
    await Promise.all(COMMANDS.map(async (command) => {
      const { code, stdout, stderr } = await run([command, "-h"]);
      const page = stdout.toString();
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(page, new RegExp(`^Usage: mqcat ${command} `));
      for (const group of groups[command]!) assert.match(page, new RegExp(`^${group}:$`, "m"), command);
      assert.match(page, /^ {2}-n, --count <number>/m);
      for (const line of page.split("\n")) assert.ok(line.length <= 130, line);
    }));
    const same = await Promise.all(
      [["push", "--help"], ["help", "push"], ["push", "-h"]].map((args) => run(args)),
    );
    for (const { stdout } of same) assert.equal(stdout.toString(), same[0]!.stdout.toString());
  });

  test("--version, -V - print the version", async () => {
    for (const option of ["--version", "-V"]) {
      const { code, stdout, stderr } = await run([option]);
      assert.deepEqual([code, stdout.toString(), stderr], [0, `mqcat ${version}\n`, ""]);
    }
  });
});
