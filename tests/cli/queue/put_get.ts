/** Messages through a queue: framings, records, properties, exchanges. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { summaryOf } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

export function putAndGet({ queue, startQueue, test, well }: QueueContext): void {
  test("put, get --drain - carry the lines in order, with nothing on stderr", async () => {
    assert.equal(await well(["put", "--declare", "lines"], lines(5000)), "");
    assert.equal(await well(["get", "lines", "--drain"]), lines(5000));
    assert.equal(await well(["get", "lines", "--drain"]), "");
  });

  test("framings - NUL, blob and u32 keep all bytes", async () => {
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i * 7));
    await well(["put", "--declare", "blob", "--in", "blob"], bytes);
    const { stdout } = await queue(["get", "blob", "--drain", "--out", "blob"]);
    assert.ok(stdout.equals(bytes));
    await well(["put", "--declare", "nul", "-0"], "a\nb\0\0c");
    assert.equal(await well(["get", "nul", "--drain", "-0"]), "a\nb\0\0c\0");
    const u32 = Buffer.from([0, 0, 0, 2, 10, 0, 0, 0, 0, 0]);
    await well(["put", "--declare", "u32", "--in", "u32"], u32);
    assert.ok((await queue(["get", "u32", "--drain", "--out", "u32"])).stdout.equals(u32));
  });

  test("-J - a message with all its properties is put back unchanged", async () => {
    const record = {
      body_base64: "AP8=",
      properties: { content_type: "x/y", delivery_mode: 1, priority: 4, correlation_id: "c", timestamp: 5 },
      headers: { text: "ü", number: 7, long: { $l: "5" }, list: [true, null], bytes: { $bytes: "AP8=" } },
    };
    await well(
      ["put", "--declare", "json", "-J"],
      `${JSON.stringify(record)}\n\n{"body":"plain","topic":"t"}\n`,
    );
    const first = await well(["get", "json", "--drain", "-J"]);
    await well(["put", "--declare", "json", "-J"], first);
    assert.equal(await well(["get", "json", "--drain", "-J"]), first);
    const [one, two] = first.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual([one.body_base64, one.properties, one.headers], [
      record.body_base64,
      record.properties,
      record.headers,
    ]);
    assert.deepEqual([one.topic, one.exchange, one.queue, two.body, two.headers, two.properties], [
      undefined,
      undefined,
      "json",
      "plain",
      { "x-topic": "t" },
      { delivery_mode: 2 },
    ]);
  });

  test("-J - reports an error with its line number, and puts the messages before it", async () => {
    const { code, stderr } = await queue(["put", "--declare", "wrong"], { stdin: "x" });
    assert.deepEqual([code, stderr], [0, ""]);
    const bad = await queue(["put", "--declare", "wrong", "-J"], {
      stdin: '{"body":"y"}\n{"properties":{"no":1}}\n',
    });
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /line 2 of the input is not a JSON record: it has none of the members body/);
    assert.equal(await well(["get", "wrong", "--drain"]), "x\ny\n");
  });

  test("-H, -P, -f - set headers and properties, and print them with a template", async () => {
    await well([
      "put",
      "--declare",
      "meta",
      "-D",
      "body",
      "-H",
      "a: 1",
      "-H",
      "b: x: y",
      "-P",
      "priority: 3",
    ]);
    assert.equal(
      await well(["get", "meta", "--drain", "-f", "%t %S %s %h %o%%\\n"]),
      "meta 4 body a=1,b=x: y 1%\n",
    );
    const bad = await queue(["put", "--declare", "meta", "-D", "x", "-P", "colour: red"]);
    assert.deepEqual(
      [bad.code, /expected 'name: value' with one of the names content_type/.test(bad.stderr)],
      [
        2,
        true,
      ],
    );
  });

  test("--exchange - routes by the routing key; unroutable messages are counted, and the exit code is 5", async () => {
    await well(["declare", "bound"]);
    await well(["bind", "bound", "amq.topic", "-t", "a.*", "-t", "c"]);
    await well(["put", "--exchange", "amq.topic", "-t", "a.b", "-D", "one"]);
    await well(["put", "--exchange", "amq.topic", "-J"], '{"topic":"c","body":"two"}\n');
    await well(["unbind", "bound", "amq.topic", "-t", "c"]);
    const lost = await queue([
      "put",
      "--exchange",
      "amq.topic",
      "-t",
      "c",
      "-D",
      "x",
      "-D",
      "y",
      "--summary",
    ]);
    assert.equal(lost.code, 5);
    assert.match(
      lost.stderr,
      /^mqcat: queue put: 2 messages came back: no queue is bound to exchange 'amq.topic' with the routing key 'c'.*bind.*\n\{.*\n$/,
    );
    assert.deepEqual([summaryOf(lost.stderr)["confirmed"], summaryOf(lost.stderr)["unsent"]], [0, 2]);
    assert.equal(await well(["get", "bound", "--drain"]), "one\ntwo\n");
    // Without a line of input: the mistake is known at the start.
    using none = await startQueue(["put", "--exchange", "none"], { open: true });
    assert.equal((await none.exit()).code, 1);
    assert.match(none.stderr, /there is no exchange 'none': create it first/);
  });

  test("get -n - takes N messages and leaves the others unchanged", async () => {
    await well(["put", "--declare", "some"], "a\nb\nc\n");
    assert.equal(await well(["get", "some", "-n", "1"]), "a\n");
    assert.equal(await well(["get", "some", "-n", "2", "-f", "%s"]), "bc");
    await well(["put", "--declare", "some"], "a\nb\nc\n");
    assert.equal(await well(["get", "some", "-n", "2"]), "a\nb\n");
    assert.doesNotMatch(await well(["get", "some", "-n", "1", "-J"]), /redelivered/);
  });
}
