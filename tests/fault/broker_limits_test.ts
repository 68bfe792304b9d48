/** The broker when its disk is full, and when its memory limit is reached. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { program, residentBytes, run, shell, start, summaryOf, test } from "../support/mqcat.ts";

/** Lines of 500 bytes that begin with their number. */
const lines = (count: number) =>
  Array.from({ length: count }, (_, i) => `${i + 1} `.padEnd(499, ".") + "\n").join("");
const numbersOf = (text: string) => text.trimEnd().split("\n").map((line) => Number(line.split(" ")[0]));

describe("queue serve", () => {
  // A file system of its own needs the right to mount; a user namespace gives it where the system allows that.
  const canMount = spawnSync("unshare", ["-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

  test("a full disk - publishes wait or fail with the count, and no confirmed message is lost", async () => {
    if (!canMount) return;
    using dir = tempDir();
    const words = program.map((word) => `'${word}'`).join(" ");
    using serve = shell(
      `exec unshare -Urm bash -c "$SCRIPT"`,
      {
        env: {
          SCRIPT: `mount -t tmpfs -o size=6m none ${dir.path}
            head -c 2000000 /dev/zero >${dir.file("filler")}
            exec ${words} queue serve :0 --data ${dir.file("data")}`,
        },
      },
    );
    const [, url] = await serve.waitForStderr(/listening on (amqp:\S+)/);
    const at = ["--url", url!];
    const put = await run(["queue", "put", "q", "--declare", ...at, "--summary", "--linger", "1s"], {
      stdin: lines(12_000),
    });
    assert.equal(put.code, 5, put.stderr);
    assert.match(put.stderr, /the disk is full \(ENOSPC\)/);
    assert.match(serve.stderr, /no messages are accepted for now: .*the disk is full/);
    const { confirmed, unsent } = summaryOf(put.stderr);
    assert.ok(confirmed! > 1000 && confirmed! + unsent! === 12_000, put.stderr);

    fs.unlinkSync(`/proc/${serve.pid}/root${dir.file("filler")}`);
    await serve.waitForStderr(/messages are accepted again/);
    const more = await run(["queue", "put", "q", ...at, "-D", "0 after"]);
    assert.equal(more.code, 0, more.stderr);
    const get = await run(["queue", "get", "q", ...at, "--drain"]);
    const found = numbersOf(get.stdout.toString());
    // More than the confirmed ones may be there: the confirms of these were late. Refused ones leave gaps.
    assert.ok(found.length > confirmed!, `${found.length} of ${confirmed}`);
    assert.equal(found.pop(), 0);
    assert.deepEqual(found, [...new Set(found)].sort((a, b) => a - b));
    serve.kill();
    assert.equal((await serve.exit()).code, 143);
  });

  test("the memory limit - four publishers wait, the memory stays bounded, and nothing is lost", async () => {
    const limit = 16 * 2 ** 20;
    using serve = start(["queue", "serve", ":0", "--memory", "--memory-limit", String(limit)]);
    const url = await serve.readyEndpoint();
    await run(["queue", "declare", "q", "--url", url]);
    const before = residentBytes(serve.pid);
    const count = 20_000;
    const input = lines(count);
    const puts = [1, 2, 3, 4].map(() =>
      start(["queue", "put", "q", "--url", url, "--linger", "60s"], { stdin: input })
    );
    try {
      await serve.waitForStderr(/no messages are accepted for now/);
      let most = 0;
      const sampling = setInterval(() => most = Math.max(most, residentBytes(serve.pid)), 20);
      using get = start(["queue", "get", "q", "--url", url, "-n", String(4 * count)]);
      const { code, stdout, stderr } = await get.exit(60_000);
      clearInterval(sampling);
      assert.equal(code, 0, stderr);
      for (const put of puts) assert.equal((await put.exit()).code, 0, put.stderr);
      const found = numbersOf(stdout.toString()).sort((a, b) => a - b);
      assert.deepEqual(found, Array.from({ length: 4 * count }, (_, i) => Math.floor(i / 4) + 1));
      // 40 MB went through; the runtime's heap may grow to some multiple of the limit before it is collected.
      assert.ok(most - before < 8 * limit, `${(most - before) / 1e6} MB more than at rest`);
    } finally {
      for (const put of puts) put[Symbol.dispose]();
    }
    serve.kill();
    assert.equal((await serve.exit()).code, 143);
  });
});
