/** Users of a running broker: logins, permissions, and their state after a restart. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { tempDir } from "../../support/helpers.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("broker, users", () => {
  it("users - guest exists by default and can be omitted", async () => {
    const dir = tempDir();
    try {
      for (const [guest, refusal] of [[true, undefined], [false, "there is no user 'guest'"]] as const) {
        const broker = await Broker.open({ data: dir.file("data"), guest });
        assert.equal(broker.users.authenticate("guest", bytes("guest"), true), refusal);
        await broker.close();
      }
    } finally {
      dir.remove();
    }
  });

  it("users - users, permissions and virtual hosts survive a restart, and removed ones do not return", async () => {
    const dir = tempDir();
    try {
      const data = dir.file("data");
      const permission = { configure: "^jane-", write: ".*", read: ".*" };
      const first = await Broker.open({ data });
      first.users.put("jane", "s3cret", ["monitoring"]);
      first.core.addVirtualHost("other");
      first.core.addVirtualHost("gone");
      first.users.permit("jane", "other", permission);
      first.users.permit("jane", "gone", permission);
      const args = { passive: false, durable: true, exclusive: false, autoDelete: false, arguments: {} };
      first.vhosts.get("gone")!.declareQueue({ ...args, queue: "q" }, first);
      first.removeVirtualHost("gone");
      first.users.remove("guest");
      await first.close();
      const second = await Broker.open({ data });
      assert.deepEqual([...second.users].map(({ name }) => name), ["jane"]);
      assert.equal(second.users.authenticate("jane", bytes("s3cret"), false), undefined);
      assert.deepEqual([...second.users.permissions()], [{ user: "jane", vhost: "other", ...permission }]);
      assert.deepEqual([...second.vhosts.keys()].sort(), ["/", "other"]);
      await second.close();
    } finally {
      dir.remove();
    }
  });
});
