import assert from "node:assert/strict";
import { describe } from "node:test";
import { run, test, through } from "../support/mqcat.ts";

const formatted = async (template: string, stdin = "abc\nü\n\n") =>
  await through(["push"], ["pull", "-f", template], { stdin });

describe("-f", () => {
  test("-f - expands the tokens of a plain message", async () => {
    const [payload, length, number, topic, percent] = await Promise.all([
      formatted("<%s>"),
      formatted("%S;"),
      formatted("%o:%s\\n"),
      formatted("[%t%h%p2]"),
      formatted("100%% "),
    ]);
    assert.equal(payload.toString(), "<abc><ü><>");
    assert.equal(length.toString(), "3;2;0;", "in bytes");
    assert.equal(number.toString(), "1:abc\n2:ü\n3:\n");
    assert.equal(topic.toString(), "[][][]", "what a message does not have is empty");
    assert.equal(percent.toString(), "100% 100% 100% ");
  });

  test("%R - is the length as four bytes, so that --in u32 reads the output", async () => {
    const printed = await formatted("%R%s");
    assert.deepEqual([...printed], [0, 0, 0, 3, 97, 98, 99, 0, 0, 0, 2, 0xc3, 0xbc, 0, 0, 0, 0]);
    assert.equal(
      (await through(["push", "--in", "u32"], ["pull"], { stdin: printed })).toString(),
      "abc\nü\n\n",
    );
  });

  test("-f - expands escapes, also of bytes that are not text", async () => {
    const printed = await formatted("\\t%s\\n\\r\\0\\\\\\x41\\xff", "m\n");
    assert.deepEqual([...printed], [9, 109, 10, 13, 0, 92, 0x41, 0xff]);
  });

  test("-f - writes the template's own text as UTF-8", async () => {
    assert.equal((await formatted("→%s←", "m\n")).toString(), "→m←");
  });

  test("%p, %t - are the parts and the topic; %s and %S leave out the topic", async () => {
    const stdin = `${JSON.stringify({ topic: "T", parts: ["one", "two"] })}\n`;
    const printed = await through(["pub", "-J"], ["sub", "-f", "%t|%s|%S|%p1|%p2|%p3|%p4|"], { stdin });
    assert.equal(printed.toString(), "T|onetwo|6|T|one|two||");
    const pulled = await through(["push", "-J"], ["pull", "-f", "%t|%s|%p1,%p3"], { stdin });
    assert.equal(pulled.toString(), "|Tonetwo|T,two", "PULL knows no topics");
  });

  test("%e, %T - are the peer's endpoint and the time in milliseconds", async () => {
    const before = Date.now();
    const [endpoint, time] = (await formatted("%e %T", "m\n")).toString().split(" ");
    assert.match(endpoint!, /^tcp:\/\/127\.0\.0\.1:\d+$/);
    assert.ok(Number(time) >= before && Number(time) <= Date.now(), time);
  });

  test("-f - works for sub, req and rep", async () => {
    const printed = await through(["pub", "-t", "T"], ["sub", "-f", "%t=%s\\n"], { stdin: "a\nb\n" });
    assert.equal(printed.toString(), "T=a\nT=b\n");
  });

  test("-f - an invalid template is a usage error that lists the valid tokens", async () => {
    const cases: [string, RegExp][] = [
      ["%z", /--format '%z': there is no token '%z': there are %s %S %R %t %i %h %p1 %p2/],
      ["%p0", /there is no token '%p0'/],
      ["%p", /there is no token '%p'/],
      ["\\q", /there is no escape '\\q': there are \\n \\t \\r \\0 \\xNN and \\\\/],
      ["\\x4", /there is no escape '\\x'/],
      ["50%", /it ends with a single '%': write it twice/],
      ["a\\", /it ends with a single '\\': write it twice/],
    ];
    await Promise.all(cases.map(async ([template, expected]) => {
      const { code, stderr } = await run(["pull", ":0", "-f", template]);
      assert.deepEqual([code, expected.test(stderr)], [2, true], stderr);
    }));
  });
});
