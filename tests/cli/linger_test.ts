/** `queue put` at the end of its input: `--linger` is the time without progress, and all lines are in the report. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { type Exit, start, summaryOf, test } from "../support/mqcat.ts";
import { serve } from "../support/scripted_broker.ts";

/** More lines than are in flight at a time. */
const LINES = 15_000;
/** The number of messages that the broker confirms at a time, and the interval, in milliseconds. */
const STEP = 500;
const INTERVAL = 60;

/** Puts the lines at a broker that confirms slowly, and only so many. They come from a file, or through a pipe that stays open. */
async function put(confirms: number, ...options: string[]): Promise<Exit> {
  using dir = tempDir();
  const lines = Array.from({ length: LINES }, (_, i) => `${i}\n`).join("");
  fs.writeFileSync(dir.file("lines"), lines);
  let came = 0;
  let confirmed = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  let exit!: Exit;
  await serve({
    on(served, name, channel) {
      if (name !== "content") return;
      came++;
      timer ??= setInterval(() => {
        confirmed = Math.min(came, confirms, confirmed + STEP);
        served.say(channel, "basic.ack", { deliveryTag: confirmed, multiple: true });
      }, INTERVAL);
    },
  }, async (url) => {
    const isOpen = options.length > 0;
    const stdinFrom = isOpen ? undefined : fs.openSync(dir.file("lines"), "r");
    const input = isOpen ? { open: true, stdin: lines } : { stdinFrom: stdinFrom! };
    using program = start(
      ["queue", "put", "q", "--url", url, "--linger", "1s", "--summary", ...options],
      input,
    );
    if (stdinFrom !== undefined) fs.closeSync(stdinFrom);
    exit = await program.exit();
    clearInterval(timer);
  });
  return exit;
}

describe("--linger of queue put", () => {
  test("a broker that takes longer for a file, but confirms all the time - everything is put", async () => {
    const { code, stderr } = await put(LINES);
    assert.equal(code, 0, stderr);
    assert.equal(summaryOf(stderr).confirmed, LINES);
  });

  test("a broker that stops to confirm - the end comes after --linger, and each line of the file is reported", async () => {
    const { code, stderr } = await put(2 * STEP);
    assert.equal(code, 5, stderr);
    const { confirmed, unsent } = summaryOf(stderr);
    assert.deepEqual([confirmed, unsent], [2 * STEP, LINES - 2 * STEP], stderr);
  });

  test("-w, and a pipe that stays open - the lines that were read are reported", async () => {
    const { code, stderr } = await put(2 * STEP, "-w", "1s");
    assert.equal(code, 3, stderr);
    const { confirmed, unsent } = summaryOf(stderr);
    assert.deepEqual([confirmed, unsent], [2 * STEP, LINES - 2 * STEP], stderr);
  });
});
