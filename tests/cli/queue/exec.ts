/** A command for each message. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tempDir, waitFor } from "../../support/helpers.ts";
import { PATIENCE } from "../../support/mqcat.ts";
import { type QueueContext } from "./context.ts";

export function commands({ queue, startQueue, ready, test, well }: QueueContext): void {
  test("--exec - acknowledges on exit 0, else requeues or rejects, and exits with 6", async () => {
    await well(["declare", "dead"]);
    await well(["declare", "work", "-a", "x-dead-letter-exchange=", "-a", "x-dead-letter-routing-key=dead"]);
    await well(["put", "work"], "1\n2\n3\n");
    const exec = ["--exec", 'read n; [ $n != 2 ] && echo "ok $n $MQCAT_TOPIC"'];
    const rejecting = await queue([
      "get",
      "work",
      "--drain",
      ...exec,
      "--on-error",
      "reject",
      "--max-attempts",
      "1",
    ]);
    assert.deepEqual([rejecting.code, rejecting.stdout.toString()], [6, "ok 1 work\nok 3 work\n"]);
    assert.match(
      rejecting.stderr,
      /--exec: message 2 \('2'\): it exited with 1 \(attempt 1 of 1\); it is rejected/,
    );
    assert.equal(await well(["get", "dead", "-n", "1"]), "2\n");

    await well(["put", "work", "-D", "again"]);
    using dir = tempDir();
    const second = `cat; test -e ${dir.path}/f && exit 0; touch ${dir.path}/f; exit 1`;
    const requeued = await queue(["get", "work", "--drain", "--exec", second]);
    assert.deepEqual([requeued.code, requeued.stdout.toString()], [6, "again\nagain\n"]);
  });

  test("--max-attempts - a failing command ends get, and its message stays; --on-error takes it away", async () => {
    await well(["declare", "poison"]);
    await well(["put", "poison", "-D", "bad", "-P", "message_id: m1"]);
    await well(["put", "poison", "-D", "worse"]);
    using dir = tempDir();
    const exec = ["--exec", `echo >>${dir.file("runs")}; exit 7`];
    const runs = () => fs.readFileSync(dir.file("runs"), "utf8").length;
    const failed = await queue(["get", "poison", ...exec, "--max-attempts", "2"]);
    assert.equal(failed.code, 6, failed.stderr);
    assert.match(failed.stderr, /--exec: message 1 \(id 'm1'\): it exited with 7 \(attempt 1 of 2\)\n/);
    assert.match(
      failed.stderr,
      /\(attempt 2 of 2\); it is requeued, and the command ends \(--on-error dead-letter/,
    );
    assert.deepEqual([runs(), await ready("poison")], [2, "2"]);
    const rejected = await queue(["get", "poison", "--drain", ...exec, "--on-error", "reject", "-j", "2"]);
    assert.equal(rejected.code, 6);
    assert.match(rejected.stderr, /--exec: message 2 \('worse'\): .* \(attempt 5 of 5\); it is rejected\n/);
    assert.deepEqual([runs(), await ready("poison")], [12, "0"], "five attempts are the default");
    assert.equal((await queue(["get", "poison", "--max-attempts", "2", "--drain"])).code, 2);
    assert.match((await queue(["get", "-h"])).stdout.toString(), /--max-attempts[^]*default: 5/);
  });

  test("--exec - a second signal also ends the command; its message stays in the queue", async () => {
    await well(["put", "--declare", "slow", "-D", "x"]);
    using dir = tempDir();
    using get = await startQueue(["get", "slow", "--exec", `echo $$ >${dir.path}/pid; exec sleep 600`]);
    const read = () => Number(fs.readFileSync(dir.file("pid"), { encoding: "utf8", flag: "a+" }));
    await waitFor(() => read() > 0, PATIENCE, "a running command");
    get.kill("SIGINT");
    get.kill("SIGTERM");
    assert.ok((await get.exit()).code! > 128);
    await waitFor(() => !fs.existsSync(`/proc/${read()}`), PATIENCE, "the end of the command");
    await waitFor(async () => await ready("slow") === "1", PATIENCE, "the message");
  });
}
