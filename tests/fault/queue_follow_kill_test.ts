/**
 * `queue move --follow` between two brokers, while both brokers and the command itself are killed with SIGKILL: every line
 * arrives. `MQCAT_SEED` repeats a run's choices, `MQCAT_ROUNDS` makes it longer.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, type Program, run, start, summaryOf, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";
import { seeded } from "./queue_ledger.ts";

const ROUNDS = Number(process.env["MQCAT_ROUNDS"] ?? 2);
const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const LINES = 60_000;
/** The longest pause before a kill, in milliseconds. */
const PAUSE_MS = 300;

describe("kill -9", () => {
  test("queue move --follow - survives both brokers; every line arrives, also when the command is killed", async () => {
    console.log(`move --follow: MQCAT_SEED=${SEED}`);
    const random = seeded(SEED);
    using dir = tempDir();
    const [near, far] = [await freePort(), await freePort()];
    const starts: Record<string, readonly string[]> = {
      near: ["queue", "serve", `:${near}`, "--data", dir.file("near")],
      far: ["queue", "serve", `:${far}`, "--data", dir.file("far")],
      move: [
        ...["queue", "move", "from", "to", "--follow", "--declare", "--summary", "--prefetch", "20"],
        ...["--url", `amqp://127.0.0.1:${near}`, "--to-url", `amqp://127.0.0.1:${far}`],
      ],
    };
    const running = new Map<string, Program>();
    const begin = async (name: string) => {
      const program = start(starts[name]!);
      running.set(name, program);
      if (name !== "move") await program.readyEndpoint();
    };
    const ready = async (port: number, queue: string) => {
      const { stdout } = await run(["queue", "info", queue, "-J", "--url", `amqp://127.0.0.1:${port}`]);
      return stdout.length === 0 ? -1 : JSON.parse(stdout.toString()).messages_ready;
    };
    try {
      await begin("near");
      await begin("far");
      const input = Array.from({ length: LINES }, (_, i) => `${i}\n`).join("");
      const put = ["queue", "put", "from", "--declare", "--url", `amqp://127.0.0.1:${near}`];
      assert.equal((await run(put, { stdin: input })).code, 0);
      await begin("move");
      let kills = 0;
      for (const victim of Array(ROUNDS).fill(["near", "far", "move"]).flat()) {
        const before = await ready(far, "to");
        await waitFor(
          async () => await ready(far, "to") > before,
          PATIENCE,
          `progress after ${before} messages`,
        );
        await new Promise((resolve) => setTimeout(resolve, random() * PAUSE_MS));
        running.get(victim)!.kill("SIGKILL");
        await running.get(victim)!.exit();
        await begin(victim);
        kills++;
        if (await ready(near, "from") === 0) break;
      }
      assert.ok(kills >= 3, `${kills} kills before the queue was empty`);
      await waitFor(async () => await ready(near, "from") === 0, 2 * PATIENCE, "the empty source");
      const move = running.get("move")!;
      assert.equal(move.code, undefined, move.stderr);
      move.kill("SIGTERM");
      assert.equal((await move.exit()).code, 143);
      const get = await run(["queue", "get", "to", "--drain", "--url", `amqp://127.0.0.1:${far}`]);
      const lines = get.stdout.toString().trimEnd().split("\n");
      console.log(
        `${kills} kills, ${lines.length - LINES} duplicates; the last command: ${
          JSON.stringify(summaryOf(move.stderr))
        }`,
      );
      assert.equal(new Set(lines).size, LINES, "no line is lost");
    } finally {
      for (const program of running.values()) program[Symbol.dispose]();
    }
  });
});
