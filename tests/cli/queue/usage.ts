/** Mistakes on the command line. */
import assert from "node:assert/strict";
import { run } from "../../support/mqcat.ts";
import { type QueueContext } from "./context.ts";

export function usage({ queue, test }: QueueContext): void {
  test("usage - a missing name, two names, an option of other commands, the help of the family", async () => {
    for (
      const args of [["put"], ["put", "a", "--exchange", "b"], ["get"], ["move", "a"], ["bind", "a"], [
        "bogus",
      ]]
    ) {
      assert.equal((await queue(args)).code, 2, args.join(" "));
    }
    const unknown = await queue(["put", "x", "--drain"]);
    assert.match(unknown.stderr, /unknown option '--drain': pull, queue get have it/);
    assert.match((await queue(["gte", "x"])).stderr, /did you mean queue get\?/);
    const completed = await run(["complete", "--", "queue", "put", "--exc"]);
    assert.match(completed.stdout.toString(), /^--exchange\t/);
    const help = await run(["queue", "--help"]);
    assert.deepEqual([help.code, /queue put .*queue move /s.test(help.stdout.toString())], [0, true]);
  });
}
