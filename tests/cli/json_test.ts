import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe } from "node:test";
import { run, start, test, through } from "../support/mqcat.ts";

type JsonRecord = Record<string, unknown>;
const linesOf = (records: readonly JsonRecord[]) =>
  records.map((record) => `${JSON.stringify(record)}\n`).join("");
const recordsOf = (text: Buffer): JsonRecord[] =>
  text.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
const base64 = (...bytes: number[]) => Buffer.from(bytes).toString("base64");

/** Removes the endpoint, which differs in each run. */
const bare = (records: readonly JsonRecord[]) =>
  records.map(({ endpoint, ...rest }) => {
    assert.match(String(endpoint), /^tcp:\/\/127\.0\.0\.1:\d+$/);
    return rest;
  });

const RECORDS = [
  { body: "text" },
  { body: "" },
  { body: 'ü \u{1f600} " \\ \u0000 \n' },
  { body_base64: base64(0xff, 0, 0xc3) },
  { parts: ["a", "", "c"] },
  { parts_base64: [base64(0xff), "", base64(1, 2)] },
];

describe("-J", () => {
  test("push, pull - print every record as it was read", async () => {
    const printed = await through(["push", "-J"], ["pull", "-J"], { stdin: linesOf(RECORDS) });
    assert.deepEqual(bare(recordsOf(printed)), RECORDS);
  });

  test("pub, sub - carry a topic, as text or as bytes", async () => {
    const records = [
      { topic: "A", body: "1" },
      { topic: "", body: "no topic" },
      { topic_base64: base64(0xff, 0xfe), body: "2" },
      { topic: "A", body_base64: base64(0xff) },
      { topic: "A", parts: ["x", "y"] },
      { body: "single" },
    ];
    const printed = await through(["pub", "-J"], ["sub", "-J"], { stdin: linesOf(records) });
    assert.deepEqual(bare(recordsOf(printed)), records);
  });

  test("pub - -t is the topic of records without one", async () => {
    const stdin = linesOf([{ body: "1" }, { topic: "own", body: "2" }]);
    const printed = await through(["pub", "-J", "-t", "T"], ["sub", "-J"], { stdin });
    assert.deepEqual(bare(recordsOf(printed)), [{ topic: "T", body: "1" }, { topic: "own", body: "2" }]);
  });

  test("sub -J | push -J - loses nothing", async () => {
    using pull = start(["pull", ":0", "--transient", "-J"]);
    using sub = start(["sub", "@:0", "--transient", "-J"]);
    const records = [{ topic: "T", body: "1" }, { topic: "T", parts: ["a", "", "b"] }, {
      body_base64: base64(128),
    }];
    const pub = await run(["pub", "-J", `>${await sub.readyEndpoint()}`], { stdin: linesOf(records) });
    assert.equal(pub.code, 0);
    const { stdout } = await sub.exit();
    assert.equal((await run(["push", "-J", await pull.readyEndpoint()], { stdin: stdout })).code, 0);
    // A topic is the first frame; PULL has no topics.
    assert.deepEqual(bare(recordsOf((await pull.exit()).stdout)), [
      { parts: ["T", "1"] },
      { parts: ["T", "a", "", "b"] },
      { body_base64: base64(128) },
    ]);
  });

  test("req, rep - carry records in both directions", async () => {
    using rep = start(["rep", ":0", "-n", "2", "-J"], {
      stdin: linesOf([{ parts: ["r", "1"] }, { body_base64: base64(255) }]),
    });
    const endpoint = await rep.readyEndpoint();
    const req = await run(["req", endpoint, "-J"], { stdin: linesOf([{ body: "q" }, { parts: ["", "q"] }]) });
    assert.deepEqual(recordsOf(req.stdout), [
      { parts: ["r", "1"], endpoint: recordsOf(req.stdout)[0]!["endpoint"] },
      { body_base64: base64(255), endpoint: recordsOf(req.stdout)[0]!["endpoint"] },
    ]);
    assert.deepEqual(bare(recordsOf((await rep.exit()).stdout)), [{ body: "q" }, { parts: ["", "q"] }]);
  });

  test("-J - skips empty lines between records, and needs no newline after the last one", async () => {
    const printed = await through(["push", "-J"], ["pull"], { stdin: '{"body":"a"}\n\n  \n{"body":"b"}' });
    assert.equal(printed.toString(), "a\nb\n");
  });

  test("-J - reports the line number and the error of an invalid record", async () => {
    const cases: [string, RegExp][] = [
      ["{", /line 2 of the input is not a JSON record: /],
      ["[]", /line 2 .*: expected an object such as \{"body":"text"\}/],
      ["{}", /line 2 .*: it has none of the members body, body_base64, parts and parts_base64/],
      ['{"body":1}', /line 2 .*: 'body' is not a string/],
      ['{"body_base64":"a!"}', /line 2 .*: 'body_base64' is not base64/],
      ['{"parts":[]}', /line 2 .*: 'parts' is not a list of one string or more/],
      ['{"parts":["a",1]}', /line 2 .*: 'parts' is not a string/],
    ];
    await Promise.all(cases.map(async ([line, expected]) => {
      using pull = start(["pull", ":0", "-n", "1"]);
      const { code, stderr } = await run(["push", "-J", await pull.readyEndpoint()], {
        stdin: `{"body":"before"}\n${line}\n{"body":"after"}\n`,
      });
      assert.deepEqual([code, expected.test(stderr)], [1, true], stderr);
      assert.equal((await pull.exit()).stdout.toString(), "before\n");
    }));
  });

  test("headers and properties of messages of queues are dropped with one warning", async () => {
    const records = [
      { body: "a", exchange: "", properties: { delivery_mode: 2 } },
      { body: "b", exchange: "", headers: { h: 1 } },
      { body: "c", exchange: "", properties: { message_id: "m" } },
    ];
    for (const [sent, warnings] of [[records, 1], [records.slice(0, 1), 0]] as const) {
      using pull = start(["pull", ":0", "--transient"]);
      const { code, stderr } = await run(["push", "-J", await pull.readyEndpoint()], {
        stdin: linesOf(sent),
      });
      assert.equal(code, 0);
      const found = stderr.match(/headers and properties of messages of queues are not sent, .*: line 2 /g);
      assert.equal(found?.length ?? 0, warnings, stderr);
      assert.equal((await pull.exit()).stdout.toString(), sent.map(({ body }) => `${body}\n`).join(""));
    }
  });

  test("a message of several parts without -J is printed as one, with one warning", async () => {
    const stdin = linesOf([{ parts: ["a", "b"] }, { parts: ["c", "d"] }]);
    using pull = start(["pull", ":0", "--transient"]);
    assert.equal((await run(["push", "-J", await pull.readyEndpoint()], { stdin })).code, 0);
    const { stdout, stderr } = await pull.exit();
    assert.equal(stdout.toString(), "ab\ncd\n");
    assert.equal(stderr.match(/received a message of several parts; they are joined/g)?.length, 1);
  });
});
