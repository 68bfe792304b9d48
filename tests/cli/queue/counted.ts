/** Counts of possible duplicates in `--summary`. */
import assert from "node:assert/strict";
import { PATIENCE, run, summaryOf } from "../../support/mqcat.ts";
import { waitFor } from "../../support/helpers.ts";
import { Proxy } from "../../support/rabbitmq.ts";
import { lines, type QueueContext } from "./context.ts";

export function counted({ broker, env, queue, ready, test, well }: QueueContext): void {
  test("--summary - get, pull and proxy count redelivered messages, and the earlier deliveries of quorum queues", async () => {
    await well(["declare", "again", "--quorum"]);
    await well(["declare", "once"]);
    for (const name of ["again", "once"]) {
      await well(["put", name], lines(3));
      for (let i = 0; i < 2; i++) await queue(["get", name, "--exec", "false", "--max-attempts", "1"]);
    }
    const { url } = await broker();
    const proxied = [
      "--from",
      `${url}//once`,
      "--to",
      `${url}//pushed`,
      "--pattern",
      "pushpull",
      "--declare",
    ];
    const [get, proxy] = await Promise.all([
      queue(["get", "again", "--drain", "--summary"]),
      run(["proxy", ...proxied, "-n", "3", "--summary"], { env: await env() }),
    ]);
    // The broker may have delivered the next message, too, before it heard of the end.
    const isSome = (count: number | undefined, least: number) => count! >= least && count! <= 3 * least;
    const counts = summaryOf(get.stderr);
    assert.deepEqual([counts["received"], counts["resent"]], [3, undefined], get.stderr);
    assert.ok(isSome(counts["redelivered"], 1) && isSome(counts["earlier_deliveries"], 2), get.stderr);
    const { received, redelivered, resent, earlier_deliveries } = summaryOf(proxy.stderr);
    assert.deepEqual([received, resent, earlier_deliveries], [3, 0, undefined], proxy.stderr);
    assert.ok(isSome(redelivered, 1), proxy.stderr);
    const pull = await run(["pull", `${url}//pushed`, "--drain", "--summary"], { env: await env() });
    assert.deepEqual([summaryOf(pull.stderr)["received"], summaryOf(pull.stderr)["redelivered"]], [3, 0]);
  });

  test("--summary - put counts messages that were sent again after a lost connection; no more of them arrive twice", async () => {
    await well(["declare", "resent"]);
    await using proxy = await Proxy.to((await broker()).port);
    proxy.cutAfter(400_000);
    const { code, stderr } = await queue(["put", "resent", "--summary", "--url", proxy.url], {
      stdin: lines(20_000),
    });
    const { confirmed, resent, redelivered } = summaryOf(stderr);
    assert.deepEqual([code, confirmed, resent! > 0, redelivered], [0, 20_000, true, undefined], stderr);
    await waitFor(async () => Number(await ready("resent")) >= 20_000, PATIENCE);
    const duplicates = Number(await ready("resent")) - 20_000;
    assert.ok(duplicates <= resent!, `${duplicates} duplicates, ${resent} sent again`);
  });
}
