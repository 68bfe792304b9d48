/** `queue check`: the limits of a queue, and the health of a broker. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { PATIENCE } from "../../support/mqcat.ts";
import { lines, type QueueContext } from "./context.ts";

export function checking({ hasStreams, peeks, queue, test, well }: QueueContext): void {
  /** The exit code and the output of a check, which prints nothing on stderr. */
  const check = async (args: readonly string[], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await queue(["check", ...args], { env });
    assert.equal(stderr, "");
    return [code, stdout.toString()];
  };

  test("check - compares a queue with its limits: 0 and 1, in one line", async () => {
    await well(["declare", "checked", "--quorum"]);
    assert.match((await check(["checked"]))[1] as string, /^ok: queue 'checked': 0 ready, 0 consumers/);
    await well(["put", "checked"], lines(3));
    assert.deepEqual((await check(["checked", "--max-ready", "3", "--min-consumers", "0"]))[0], 0);
    assert.deepEqual(await check(["checked", "--max-ready", "2", "--min-consumers", "1"]), [
      1,
      "critical: queue 'checked': 3 ready (maximum: 2); 0 consumers (minimum: 1)\n",
    ]);
    assert.deepEqual(await check(["unchecked"]), [1, "critical: queue 'unchecked': it does not exist\n"]);
    const json = JSON.parse((await check(["checked", "--max-ready", "2", "--output", "json"]))[1] as string);
    assert.deepEqual([json.status, json.vhost, json.queue, json.messages_ready, json.consumers], [
      "critical",
      "/",
      "checked",
      3,
      0,
    ]);
  });

  test("check --max-age - knows the age where the broker does, and says why not", async () => {
    await well(["declare", "aged"]);
    assert.equal((await check(["aged", "--max-age", "1s"]))[0], 0);
    await well(["put", "aged", "-P", "timestamp=1700000000"], lines(1));
    if (peeks) {
      // mqcat's broker knows when the message arrived.
      assert.match((await check(["aged", "--max-age", "1h"]))[1] as string, /^ok: .* oldest message \d/);
      await waitFor(
        async () => (await check(["aged", "--max-age", "1s"]))[0] === 1,
        PATIENCE,
        "an old message",
      );
      return;
    }
    const old = async () =>
      /^critical: .* oldest message \d+.* d \(maximum: 60 min\)/.test(
        (await check(["aged", "--max-age", "1h"]))[1] as string,
      );
    await waitFor(old, PATIENCE, "the statistics");
    await well(["declare", "ageless", "--quorum"]);
    await well(["put", "ageless"], lines(1));
    assert.deepEqual(await check(["ageless", "--max-age", "1h"]), [
      1,
      "unknown: queue 'ageless': the age of the oldest message is not known: RabbitMQ does not report it for quorum " +
      "queues\n",
    ]);
    const http = { AMQP_HTTP_URL: "" };
    assert.match(
      (await check(["ageless"], http))[1] as string,
      /^ok: .* the HTTP API does not answer: age and/,
    );
    assert.equal(hasStreams, true);
  });

  test("check - a broker: its nodes and queues, in each format, also when it does not answer", async () => {
    assert.match((await check([]))[1] as string, /^ok: .*: 1 node, \d+ queues?\n$/);
    assert.match(
      (await check(["--output", "nagios"]))[1] as string,
      /^MQCAT OK - .* \| nodes=1 nodes_down=0 /,
    );
    const [code, metrics] = await check(["--output", "prometheus"]);
    assert.deepEqual([code, /^mqcat_check_status 0$/m.test(metrics as string)], [0, true]);
    const away = ["--url", "amqp://127.0.0.1:1"];
    assert.match((await queue(["check", ...away])).stderr, /cannot connect/);
    assert.equal((await queue(["check", ...away])).code, 4);
    const [critical, words] = await check([...away, "--output", "nagios"]);
    assert.deepEqual([critical, /^MQCAT CRITICAL - broker: cannot connect/.test(words as string)], [2, true]);
    const [refused, json] = await check([...away, "--output", "json"]);
    assert.deepEqual([refused, JSON.parse(json as string).status], [4, "critical"]);
    assert.equal((await check(["none", "--output", "nagios"]))[0], 2);
    assert.equal((await check(["", "--output", "nagios"]))[0], 3);
    for (const wrong of [["--max-ready", "1"], ["a", "b"], ["--output", "xml"], ["a", "--max-age", "old"]]) {
      assert.equal((await queue(["check", ...wrong])).code, 2, wrong.join(" "));
    }
  });
}
