/** `probe` against the broker. */
import assert from "node:assert/strict";
import { run } from "../../support/mqcat.ts";
import type { QueueContext } from "./context.ts";

export function probed({ broker, test }: QueueContext): void {
  test("probe - identifies a broker, its product and login mechanisms, and suggests a command", async () => {
    const { host } = new URL((await broker()).url);
    const { code, stdout, stderr } = await run(["probe", "-J", `amqp://${host}`]);
    assert.deepEqual([code, stderr], [0, ""]);
    const { capabilities, mechanisms, product, productVersion, ...rest } = JSON.parse(stdout.toString());
    assert.equal(rest.outcome, "identified");
    assert.equal(rest.protocol, "amqp");
    assert.equal(rest.version, "0-9-1");
    assert.deepEqual(rest.try, [`mqcat queue list --url amqp://${host}`]);
    assert.match(product, /^\w+$/);
    assert.match(productVersion, /^\d+\.\d+\.\d+/);
    assert.ok(mechanisms.includes("PLAIN"), mechanisms.join());
    assert.ok(capabilities.includes("publisher_confirms"), capabilities.join());
  });
}
