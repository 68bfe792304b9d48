/** Recording with `--timestamps`, and `replay`. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { run, start, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

/** A recording with one message every N milliseconds. */
function recording(bodies: readonly string[], step: number): string {
  return bodies.map((body, i) => `${JSON.stringify({ body, time: new Date(step * i).toISOString() })}\n`)
    .join("");
}

/** Replays to a puller, and returns the arrival times in milliseconds, and the messages. */
async function replayed(
  text: string,
  ...options: string[]
): Promise<{ distances: number[]; bodies: string }> {
  using dir = tempDir();
  fs.writeFileSync(dir.file("log"), text);
  using pull = start(["pull", ":0", "--transient", "-f", "%T %s\\n"]);
  const { code, stderr } = await run(["replay", dir.file("log"), await pull.readyEndpoint(), ...options]);
  assert.deepEqual([code, stderr], [0, ""]);
  const lines = (await pull.exit()).stdout.toString().trimEnd().split("\n").map((line) => line.split(" "));
  const times = lines.map(([time]) => Number(time));
  return {
    distances: times.slice(1).map((time, i) => time - times[i]!),
    bodies: lines.map(([, body]) => body).join(" "),
  };
}

/** A busy machine prints the first message late, which shortens the time that the receiver sees. */
const LEAST_PART = 0.6;

describe("replay", () => {
  test("sub, pull -J --timestamps - each record has the time of arrival", async () => {
    using dir = tempDir();
    const before = Date.now();
    using pull = start(["pull", ":0", "-J", "--timestamps", "-n", "2"]);
    await run(["push", await pull.readyEndpoint(), "-i", "30ms"], { stdin: "a\nb\n" });
    using sub = start(["sub", `@ipc://${dir.file("s")}`, "-J", "--timestamps", "-n", "1"]);
    await run(["pub", `>${await sub.readyEndpoint()}`, "-t", "news", "-D", "x"]);
    for (const program of [pull, sub]) {
      const records = (await program.exit()).stdout.toString().trimEnd().split("\n").map((line) =>
        JSON.parse(line)
      );
      for (const { time } of records) {
        assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
        assert.ok(Date.parse(time) >= before - 1000 && Date.parse(time) <= Date.now() + 1000, time);
      }
      assert.deepEqual(records.map(({ time }) => time), records.map(({ time }) => time).sort());
    }
  });

  test("speed - divides the recorded pauses by the factor", async () => {
    const text = recording(["a", "b", "c"], 200);
    for (const [speed, duration] of [["1x", 400], ["2", 200], ["0.5x", 800]] as const) {
      const { distances, bodies } = await replayed(text, "--speed", speed);
      assert.equal(bodies, "a b c");
      assert.ok(distances[0]! + distances[1]! >= duration * LEAST_PART, `${speed}: ${distances}`);
    }
  });

  test("speed - max ignores times, and needs none", async () => {
    assert.equal((await replayed(recording(["a", "b"], 1e9), "--speed", "max")).bodies, "a b");
    assert.equal((await replayed('{"body":"a"}\n{"body":"b"}\n', "--speed", "max")).bodies, "a b");
  });

  test("speed - does not wait when times go backwards", async () => {
    const times = ["2026-01-31T12:00:00Z", "2026-01-31T11:00:00+00:00", "2026-01-31t13:00:00.001+01:00"];
    const text = times.map((time, i) => `${JSON.stringify({ body: `${i}`, time })}\n`).join("");
    assert.equal((await replayed(text)).bodies, "0 1 2");
  });

  test("loop - repeats until -n; -d waits first", async () => {
    const { bodies } = await replayed(recording(["a", "b"], 5), "--loop", "-n", "5", "-d", "10ms");
    assert.equal(bodies, "a b a b a");
  });

  test("a long recording - keeps its order and its bytes", async () => {
    const bodies = Array.from({ length: 20_000 }, (_, i) => `${i}`);
    const text = bodies.map((body) => `${JSON.stringify({ body, time: "2026-01-31T12:00:00Z" })}\n`).join("");
    assert.equal((await replayed(text)).bodies, bodies.join(" "));
  });

  const patterns: [pattern: string, receiver: string[], record: object, printed: string][] = [
    ["pub", ["sub", "-K", ":"], { topic: "t", body: "x" }, "t:x\n"],
    ["push", ["pull"], { body_base64: Buffer.from("x\n").toString("base64") }, "x\n\n"],
    ["radio", ["dish", "-g", "news"], { topic: "news", body: "x" }, "x\n"],
    ["dealer", ["rep", "--echo"], { parts: ["", "x"] }, ""],
    ["pair", ["pair"], { parts: ["a", "b"] }, "ab\n"],
  ];
  for (const [pattern, [receiver, ...more], record, printed] of patterns) {
    test(`--pattern ${pattern}, into ${receiver}`, async () => {
      using dir = tempDir();
      const time = new Date().toISOString();
      fs.writeFileSync(dir.file("log"), `${JSON.stringify({ ...record, time })}\n`);
      using receiving = start([receiver!, "@:0", ...more, "-n", "1"]);
      const to = ["--to", `>${await receiving.readyEndpoint()}`];
      const { code, stderr } = await run([
        "replay",
        dir.file("log"),
        "--pattern",
        pattern,
        ...to,
        "-w",
        "10s",
      ]);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal((await receiving.exit()).stdout.toString(), printed);
    });
  }

  test("stdin - replays a recording from a pipe", async () => {
    using pull = start(["pull", ":0", "-n", "2"]);
    const { code } = await run(["replay", "-", await pull.readyEndpoint()], {
      stdin: recording(["a", "b"], 1),
    });
    assert.equal(code, 0);
    assert.equal((await pull.exit()).stdout.toString(), "a\nb\n");
  });

  const bad: [name: string, line: string, words: RegExp][] = [
    ["no JSON", "{", /line 3 of '.*log' is not a JSON record: /],
    ["no body", "{}", /line 3 of '.*log' is not a JSON record: it has none of the members body/],
    [
      "no time",
      '{"body":"x"}',
      /line 3 of '.*log' is not a JSON record: it has neither 'time' nor the property 'timestamp' \(record with --timestamps, or replay with --speed max\)/,
    ],
    [
      "a time of another form",
      '{"body":"x","time":"noon"}',
      /line 3 of '.*log' .*in the format of RFC 3339, such as 2026-/,
    ],
  ];
  for (const [name, line, words] of bad) {
    test(`a line with ${name} - is reported, after the messages before it are sent`, async () => {
      using dir = tempDir();
      fs.writeFileSync(dir.file("log"), `${recording(["a", "b"], 1)}${line}\n${recording(["c"], 1)}`);
      using pull = start(["pull", ":0", "--transient"]);
      const { code, stderr } = await run(["replay", dir.file("log"), await pull.readyEndpoint()]);
      assert.equal(code, 1);
      assert.match(stderr, words);
      assert.equal((await pull.exit()).stdout.toString(), "a\nb\n");
    });
  }

  test("a signal - ends it at once, without sending the rest", async () => {
    using dir = tempDir();
    fs.writeFileSync(
      dir.file("log"),
      recording(["a", "b", "c", "d"], 100).replace(/(.*\n){2}$/, "") +
        recording(["late", "later"], 3_600_000).replaceAll("1970-", "1971-"),
    );
    using pull = start(["pull", ":0", "--transient"]);
    using replay = start(["replay", dir.file("log"), await pull.readyEndpoint()]);
    await pull.waitForStdout(/a\nb\n/);
    replay.kill("SIGINT");
    assert.equal((await replay.exit()).code, 130);
    assert.equal((await pull.exit()).stdout.toString(), "a\nb\n");
  });

  test("no peer - all unsent messages are counted", async () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("log"), recording(["a", "b", "c"], 3_600_000));
    const { code, stderr } = await run([
      "replay",
      dir.file("log"),
      `:${await freePort()}`,
      "--linger",
      "100ms",
    ]);
    assert.equal(code, 5);
    assert.match(stderr, /3 messages could not be delivered/);
  });

  test("usage - errors name the cause", async () => {
    using dir = tempDir();
    const cases: [string[], RegExp][] = [
      [["replay"], /missing required argument 'file'/],
      [["replay", dir.file("nothing"), ":1"], /nothing' cannot be read: .*no such file/i],
      [["replay", "-"], /no endpoint was given \(try: mqcat replay FILE :5555\)/],
      [["replay", "-", ":1", "--loop"], /--loop needs a file/],
      [["replay", "-", ":1", "--speed", "0"], /--speed '0': expected a factor such as 2x/],
      [["replay", "-", ":1", "--pattern", "sub"], /expected one of push, pub, radio, dealer, pair/],
      [["sub", ":1", "--timestamps"], /--timestamps adds a member to the records of -J/],
    ];
    for (const [args, words] of cases) {
      const { code, stderr } = await run(args);
      assert.equal(code, 2, `${args}: ${stderr}`);
      assert.match(stderr, words);
    }
  });

  test("a broker - receives the records with their topics, headers and pauses; nothing is created by accident", async () => {
    using dir = tempDir();
    const records = [
      { time: "2026-01-31T08:00:00Z", topic: "order.a", body: "one", headers: { x: "y" } },
      { time: "2026-01-31T08:00:00.3Z", topic: "order.b", body: "two" },
    ];
    fs.writeFileSync(dir.file("log"), `${records.map((record) => JSON.stringify(record)).join("\n\n")}\n`);
    using broker = start(["queue", "serve", "amqp://127.0.0.1:0", "--memory"]);
    const url = await broker.readyEndpoint();
    const ready = dir.file("ready");
    const topics = ["-t", "order.#", "-n", "4", "-f", "%T %t %h %s\\n", "--ready-file", ready];
    using sub = start(["sub", `${url}//amq.topic`, ...topics]);
    await waitFor(() => fs.existsSync(ready));
    const replay = (...args: string[]) => run(["replay", dir.file("log"), ...args]);
    const { code, stderr } = await replay(`${url}//amq.topic`, "--pattern", "pub");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal((await replay(`${url}//amq.topic`, "--pattern", "pub", "--speed", "max")).code, 0);
    const lines = (await sub.exit()).stdout.toString().trimEnd().split("\n").map((line) => line.split(" "));
    assert.deepEqual(lines.map(([, ...rest]) => rest.join(" ")), [
      "order.a x=y one",
      "order.b  two",
      "order.a x=y one",
      "order.b  two",
    ]);
    assert.ok(Number(lines[1]![0]) - Number(lines[0]![0]) >= 300 * LEAST_PART);

    // A dump has no times of arrival, but its messages may have those of their publishers.
    const put = ["queue", "put", "dumped", "--declare", "-q", "--url", url, "-J"];
    const properties = [1700000000, 1700000001].map((timestamp) => ({ timestamp }));
    const stdin = properties.map((one, i) =>
      JSON.stringify({ body: `${i}`, queue: "dumped", properties: one })
    );
    assert.equal((await run(put, { stdin: stdin.join("\n") })).code, 0);
    assert.equal((await run(["queue", "dump", dir.file("dump.gz"), "dumped", "--url", url])).code, 0);
    using sink = start(["sub", `${url}//amq.fanout`, "-n", "2", "--ready-file", dir.file("sink")]);
    await waitFor(() => fs.existsSync(dir.file("sink")));
    const began = performance.now();
    const dump = await run(["replay", dir.file("dump.gz"), `${url}//amq.fanout`, "--speed", "5x"]);
    assert.deepEqual([dump.code, dump.stderr], [0, ""]);
    assert.ok(performance.now() - began >= 200 * LEAST_PART);
    assert.equal((await sink.exit()).stdout.toString(), "0\n1\n");

    const missing = await replay(`${url}//typo`);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /there is no queue 'typo'; --declare creates it/);
    assert.equal((await replay(`${url}//jobs`, "--declare", "--speed", "max")).code, 0);
    const got = await run(["pull", `${url}//jobs`, "-n", "2"]);
    assert.equal(got.stdout.toString(), "one\ntwo\n");
    const radio = await replay(`${url}//jobs`, "--pattern", "radio");
    assert.equal(radio.code, 2);
    assert.match(radio.stderr, /--pattern radio is for ZeroMQ/);
  });
});
