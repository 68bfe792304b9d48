/** Mistakes on the command line. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { PATIENCE, run } from "../../support/mqcat.ts";
import { type QueueContext } from "./context.ts";

export function usage({ env, queue, test, well }: QueueContext): void {
  test("usage - a missing name, two names, an option of other commands, the help of the family", async () => {
    for (
      const args of [["put"], ["put", "a", "--exchange", "b"], ["get"], ["move", "a"], ["bind", "a"], [
        "bogus",
      ]]
    ) {
      assert.equal((await queue(args)).code, 2, args.join(" "));
    }
    for (const command of ["put", "get", "peek", "info", "redrive", "delete-messages"]) {
      const { code, stderr } = await queue([command, "a", "b"]);
      assert.deepEqual([code, stderr.includes("expected 1, received 'a, b'")], [2, true], stderr);
    }
    const unknown = await queue(["put", "x", "--drain"]);
    assert.match(unknown.stderr, /unknown option '--drain': pull, queue get have it/);
    assert.match(
      (await queue(["list", "a", "b"])).stderr,
      /expected 1, received 'a, b' \(quote a pattern for the shell: 'fail\*'\)$/m,
    );
    assert.match((await queue(["gte", "x"])).stderr, /did you mean queue get\?/);
    const completed = await run(["complete", "--", "queue", "put", "--exc"]);
    assert.match(completed.stdout.toString(), /^--exchange\t/);
    const help = await run(["queue", "--help"]);
    assert.deepEqual([help.code, /queue put .*queue move /s.test(help.stdout.toString())], [0, true]);
  });

  test("usage - completions have the names of queues and exchanges", async () => {
    await well(["declare", "completed-1"]);
    for (
      const [words, expected] of [[["queue", "get", "comp"], "completed-1"], [
        ["pub", "amqp:amq.t"],
        "amqp:amq.topic",
      ]] as const
    ) {
      // Names that come too late on a busy machine are left out; the HTTP API of RabbitMQ knows new queues after a while.
      const names = await waitFor(
        async () => {
          const { stdout } = await run(["complete", "--", ...words], { env: await env() });
          return stdout.toString().split("\t")[0];
        },
        PATIENCE,
        `the completions of ${words.join(" ")}`,
      );
      assert.equal(names, expected);
    }
    await well(["delete", "completed-1", "-q"]);
  });
}
