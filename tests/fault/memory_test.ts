/** A stream that is larger than memory, with a slow reader at its end. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { PATIENCE, readyFile, residentBytes, shell, test } from "../support/mqcat.ts";

/** MQCAT_STREAM_BYTES makes it longer; the default keeps the suite short. */
const BYTES = Number(process.env["MQCAT_STREAM_BYTES"] ?? 6e8);
const LIMIT = 150e6;
/** Reads large blocks with pauses, and prints the total at the end. */
const SLOW_READER = `total=0
  while n=$(head -c 20000000 | wc -c); [ $n -gt 0 ]; do total=$((total + n)); sleep 0.05; done
  echo $total > "$TOTAL"`;

describe("memory", () => {
  for (const [length, sender, receiver] of [[100, "push", "pull"], [1024, "pub", "sub"]] as const) {
    test(`${sender}, ${receiver} - lines of ${length} bytes and a slow reader: both stay under 150 MB`, async () => {
      const size = Math.floor(BYTES / length) * length;
      using dir = tempDir();
      const env = { TOTAL: dir.file("total"), READY: dir.file("ready") };
      const wait = 'echo "pid $!"; wait $!; echo "code $?"';
      using receiving = shell(
        `"\${MQCAT[@]}" ${receiver} @:0 --transient --ready-file "$READY" > >(${SLOW_READER}) & ${wait}`,
        { env },
      );
      const line = "x".repeat(length - 1);
      const [endpoint] = await readyFile(dir.file("ready"));
      using sending = shell(
        `yes ${line} | head -c ${size} | "\${MQCAT[@]}" ${sender} --on-full block '>${endpoint}' & ${wait}`,
      );
      const programs = [receiving, sending];
      const pids = await Promise.all(
        programs.map(async (program) => Number((await program.waitForStdout(/pid (\d+)/))[1])),
      );
      const most = [0, 0];
      const sample = () => pids.forEach((pid, i) => most[i] = Math.max(most[i]!, residentBytes(pid)));
      const sampling = setInterval(sample, 20);
      try {
        const patience = PATIENCE + BYTES / 10e6 * 1000;
        for (const program of programs) {
          const { stdout, stderr } = await program.exit(patience);
          assert.match(stdout.toString(), /^code 0$/m, stderr);
        }
      } finally {
        clearInterval(sampling);
      }
      const total = await readyFile(dir.file("total"));
      assert.equal(Number(total[0]), size);
      console.log(`resident at most: ${receiver} ${most[0]! / 1e6} MB, ${sender} ${most[1]! / 1e6} MB`);
      assert.ok(most[0]! > 1e6 && most[1]! > 1e6, "both were seen");
      assert.ok(most[0]! < LIMIT && most[1]! < LIMIT, `${most}`);
    });
  }
});
