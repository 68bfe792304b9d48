/** The same lines through a directory, through `queue serve` on it, and through the broker of the context. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tempDir } from "../../support/helpers.ts";
import { run, shell, start } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

/** Runs a script; it must succeed and print nothing on stderr. */
async function well(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await run(["queue", ...args], stdin === undefined ? {} : { stdin });
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return stdout.toString();
}

export function threeWays({ broker, test }: QueueContext): void {
  const input = lines(3000);

  test("put, get - work with --data, through queue serve, and with --url", async () => {
    using dir = tempDir();
    const data = ["--data", dir.file("spool")];
    fs.writeFileSync(dir.file("lines.txt"), input);
    using bash = shell(
      "mqcat queue put --data ./spool jobs <lines.txt; mqcat queue get --data ./spool jobs --drain",
      { cwd: dir.path },
    );
    const { code, stdout, stderr } = await bash.exit();
    assert.deepEqual([code, stdout.toString(), stderr], [0, input, ""]);

    await well(["put", "jobs", ...data], input);
    using served = start(["queue", "serve", ":0", ...data]);
    const url = ["--url", await served.readyEndpoint()];
    assert.equal(await well(["get", "jobs", "-n", "1000", ...url]), lines(1000));
    const second = input.slice(lines(1000).length, lines(2000).length);
    assert.equal(await well(["get", "jobs", "-n", "1000", ...data]), second);
    await well(["put", "jobs", "-D", "over the socket", ...data]);
    served.kill("SIGTERM");
    assert.equal((await served.exit()).code, 143);
    const rest = `${input.slice(lines(2000).length)}over the socket\n`;
    assert.equal(await well(["get", "jobs", "--drain", ...data]), rest);

    const there = ["--url", (await broker()).url];
    await well(["put", "--declare", "three ways", ...there], input);
    assert.equal(await well(["get", "three ways", "--drain", ...there]), input);
  });

  test("move - moves messages from a directory to a broker", async () => {
    using dir = tempDir();
    const { url } = await broker();
    await well(["put", "out", "--data", dir.file("spool")], lines(500));
    const moved = await run([
      "queue",
      "move",
      "out",
      "in",
      "--declare",
      "--data",
      dir.file("spool"),
      "--to-url",
      url,
    ]);
    assert.deepEqual([moved.code, moved.stderr], [0, "mqcat: queue move: moved 500 from 'out' to 'in'\n"]);
    assert.equal(await well(["get", "in", "--drain", "--url", url]), lines(500));
  });
}
