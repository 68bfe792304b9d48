/** Filters: reading, taking, moving and deleting only the messages that match. */
import assert from "node:assert/strict";
import type { QueueContext } from "./context.ts";

/** The records of messages 1 to 6; the odd ones have the header `kind` "odd". */
const RECORDS = [1, 2, 3, 4, 5, 6].map((number) => {
  const headers = { try: number, kind: number % 2 === 1 ? "odd" : "even", death: [{ count: number }] };
  return JSON.stringify({ body: `m${number}`, headers, properties: { type: "job" } });
}).join("\n");
const ODD = 'headers.kind == "odd"';

export function selecting({ peeks, queue, test, well }: QueueContext): void {
  /** What a broker without filters needs. */
  const force = peeks ? [] : ["--force"];

  async function fill(name: string, ...args: string[]): Promise<void> {
    await well(["declare", name, ...args]);
    await well(["put", name, "-J"], RECORDS);
  }

  /** Takes all messages: `m1 m2*`, with a star for those that are marked as redelivered. */
  async function rest(name: string): Promise<string> {
    return (await well(["get", name, "--drain", "-J"])).split("\n").filter((line) => line !== "")
      .map((line) => JSON.parse(line)).map(({ body, redelivered }) => redelivered ? `${body}*` : body).join(
        " ",
      );
  }

  /** The names in the order of the queue: with a star where the broker had to deliver the messages. */
  const untouched = (...names: string[]) => names.map((name) => peeks ? name : `${name}*`).join(" ");

  test("--where - a broker without filters needs --force, and the error has the effects", async () => {
    await fill("unforced");
    for (
      const args of [
        ["get", "unforced", "--drain"],
        ["peek", "unforced"],
        ["move", "unforced", "away", "--declare"],
        ["delete-messages", "unforced"],
        ["redrive", "unforced", "--to", "away", "--declare"],
        ["delete-messages", "unforced", "--dry-run"],
      ]
    ) {
      const { code, stderr } = await queue([...args, "--where", "headers.try > 9"]);
      if (peeks) assert.equal(code, 0, stderr);
      else {
        assert.equal(code, 2, stderr);
        assert.match(stderr, /has no filters, .*'unforced'.*redelivered.*delivery limit.*--force/);
      }
    }
    assert.equal(await rest("unforced"), "m1 m2 m3 m4 m5 m6");
  });

  test("get --where - takes what matches; the others keep their order, and their flags where possible", async () => {
    for (const type of ["classic", "quorum"]) {
      const name = `${type} some`;
      await fill(name, "--type", type);
      const { code, stdout, stderr } = await queue(["get", name, "--where", ODD, "--drain", ...force]);
      assert.deepEqual([code, stdout.toString()], [0, "m1\nm3\nm5\n"], stderr);
      if (!peeks) assert.match(stderr, /3 messages did not match and went back/);
      assert.equal(await rest(name), untouched("m2", "m4", "m6"));
    }
    await well(["declare", "nothing there"]);
    assert.equal((await queue(["get", "nothing there", "--where", ODD, "--drain", ...force])).code, 0);
    await fill("first of some");
    const one = await queue(["get", "first of some", "--where", ODD, "-n", "1", ...force]);
    assert.deepEqual([one.code, one.stdout.toString()], [0, "m1\n"]);
    const left = await rest("first of some");
    assert.deepEqual(left.replaceAll("*", ""), "m2 m3 m4 m5 m6");
  });

  test("get --where --exec - a failed command returns its message, and not the others", async () => {
    await fill("working");
    const args = ["get", "working", "--where", "headers.try >= 5", "--drain", ...force];
    const { code, stderr } = await queue([...args, "--max-attempts", "1", "--exec", "test $(cat) = m5"]);
    assert.equal(code, 6, stderr);
    assert.equal((await rest("working")).replaceAll("*", ""), "m1 m2 m3 m4 m6");
  });

  test("move --where, delete-messages --where - touch only what matches, in any part of the queue", async () => {
    await fill("moving");
    const moved = await queue([
      "move",
      "moving",
      "moved",
      "--declare",
      "--where",
      "headers.death[0].count > 3 and properties.type =~ '^j'",
      "--summary",
      ...force,
    ]);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(moved.stderr, /moved 3 from 'moving' to 'moved'/);
    assert.match(moved.stderr, /"sent":3,"received":3,"confirmed":3/);
    assert.equal(await rest("moved"), "m4 m5 m6");
    const deleted = await queue([
      "delete-messages",
      "moving",
      "--where",
      'body == "m2"',
      "--summary",
      ...force,
    ]);
    assert.equal(deleted.code, 0, deleted.stderr);
    assert.match(deleted.stderr, /deleted 1 from 'moving'/);
    assert.match(deleted.stderr, /"received":1,.*"dropped":1/);
    assert.equal(await rest("moving"), untouched("m1", "m3"));
    assert.equal((await queue(["delete-messages", "moving"])).code, 2);
  });

  test("delete-messages -n - deletes the first ones", async () => {
    await fill("shortened");
    assert.match((await queue(["delete-messages", "shortened", "-n", "4"])).stderr, /deleted 4 from/);
    assert.equal((await rest("shortened")).replaceAll("*", ""), "m5 m6");
  });

  test("peek --where - shows the first ones that match", async () => {
    await fill("peeked");
    const { code, stdout } = await queue(["peek", "peeked", "--where", ODD, "-n", "2", ...force]);
    assert.deepEqual([code, stdout.toString()], [0, "m1\nm3\n"]);
    assert.equal(
      (await queue(["peek", "peeked", "--where", "size > 2", ...force])).stdout.toString(),
      "",
    );
    assert.equal((await rest("peeked")).replaceAll("*", ""), "m1 m2 m3 m4 m5 m6");
  });

  if (peeks) {
    test("peek --where - reports bodies that are too large for the filter, unless it has found what it shows", async () => {
      await well(["declare", "large bodies"]);
      await well(["put", "large bodies"], `${"x".repeat(2 ** 20 + 1)}\nx\n`);
      const { code, stdout, stderr } = await queue(["peek", "large bodies", "--where", 'body =~ "^x$"']);
      assert.deepEqual([code, stdout.toString()], [5, "x\n"]);
      assert.match(stderr, /left 1 message in 'large bodies' untested: a body is larger than 1 MiB/);
      const tested = ["peek", "large bodies", "--where", 'size <= 1M and body =~ "^x$"'];
      assert.equal(await well(tested), "x\n");
      await well(["put", "large bodies"], `${"y".repeat(2 ** 20 + 1)}\n`);
      await well(["get", "large bodies", "-n", "1", "--out", "blob"]);
      assert.equal(await well(["peek", "large bodies", "--where", 'body =~ "^x$"', "-n", "1"]), "x\n");
    });
  }

  test("--dry-run - counts and shows the first messages, and changes nothing", async () => {
    await fill("tried");
    for (
      const [what, ...args] of [
        ["move from 'tried' to 'x'", "move", "tried", "x", "--declare"],
        ["delete from 'tried'", "delete-messages", "tried"],
        ["return from 'tried' to 'x'", "redrive", "tried", "--to", "x", "--declare"],
      ] as const
    ) {
      const options = ["--where", "headers.try > 1", "--dry-run", "--summary", ...force];
      const { code, stdout, stderr } = await queue([...args, ...options]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, new RegExp(`would ${what}: 5 messages, 10 bytes`));
      assert.match(stderr, /"received":5/);
      const shown = stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line).body);
      assert.deepEqual(shown, ["m2", "m3", "m4"]);
    }
    const all = await queue(["move", "tried", "x", "--declare", "--dry-run"]);
    assert.match(all.stderr, /would move from 'tried' to 'x': 6 messages/);
    for (const args of [["move", "tried", "x"], ["redrive", "tried", "--to", "x"]]) {
      const missing = await queue([...args, "--dry-run"]);
      assert.deepEqual([missing.code, /there is no queue 'x'.*--declare/.test(missing.stderr)], [1, true]);
    }
    if (peeks) assert.equal(await rest("tried"), "m1 m2 m3 m4 m5 m6");
    else assert.equal((await rest("tried")).replaceAll("*", ""), "m1 m2 m3 m4 m5 m6");
  });

  test("redrive --where - returns only what matches", async () => {
    await well(["declare", "dead some"]);
    await well([
      "declare",
      "alive",
      "-a",
      "x-dead-letter-exchange=",
      "-a",
      "x-dead-letter-routing-key=dead some",
    ]);
    await well(["put", "alive", "-J"], RECORDS);
    await queue([
      "get",
      "alive",
      "--drain",
      "--exec",
      "false",
      "--on-error",
      "dead-letter",
      "--max-attempts",
      "1",
    ]);
    const { code, stderr } = await queue(["redrive", "dead some", "--where", "headers.try < 3", ...force]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /moved 2 from 'dead some': 2 to 'alive'/);
    assert.equal((await rest("alive")).replaceAll("*", ""), "m1 m2");
    assert.equal(await rest("dead some"), untouched("m3", "m4", "m5", "m6"));
  });

  test("--where - an error points at the character", async () => {
    for (
      const args of [["get", "q"], ["peek", "q"], ["move", "q", "r"], ["delete-messages", "q"], [
        "redrive",
        "q",
      ]]
    ) {
      const { code, stderr } = await queue([...args, "--where", "size > 10q"]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /no unit 'q' of size: .*\n.* {3}size > 10q\n.* {12}\^\n/);
    }
  });
}
