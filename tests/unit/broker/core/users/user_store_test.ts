import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import type { DefinitionChange } from "../../../../../lib/broker/core/topology/definition_change.ts";
import { UserStore } from "../../../../../lib/broker/core/users/user_store.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const ALL = { configure: ".*", write: ".*", read: ".*" };

describe("users, logins", () => {
  it("login - a wrong user and a wrong password are refused", () => {
    const users = new UserStore();
    users.put("jane", "s3cret");
    assert.equal(users.authenticate("jane", bytes("s3cret"), false), undefined);
    assert.equal(users.authenticate("jane", bytes("s3cret "), false), "wrong password for user 'jane'");
    assert.equal(users.authenticate("joe", bytes("s3cret"), false), "there is no user 'joe'");
    assert.equal(users.authenticate("joe", bytes(""), false), "there is no user 'joe'");
  });

  it("login - an empty password is never correct", () => {
    const users = new UserStore();
    users.put("jane", "");
    assert.equal(users.authenticate("jane", bytes(""), true), "wrong password for user 'jane'");
    users.putHashed({ name: "joe", passwordHash: "", hashing: "sha512", tags: [] });
    assert.match(users.authenticate("joe", bytes("x"), true)!, /wrong password/);
  });

  it("login - guest can only connect from this machine", () => {
    const users = new UserStore();
    users.put("guest", "guest");
    assert.equal(users.authenticate("guest", bytes("guest"), true), undefined);
    assert.match(users.authenticate("guest", bytes("guest"), false)!, /only connect from this machine/);
    assert.equal(users.authenticateCertificate("guest", true), undefined);
    assert.match(users.authenticateCertificate("guest", false)!, /only connect from this machine/);
  });

  it("login - hashes of RabbitMQ's definitions are accepted", () => {
    const users = new UserStore();
    // From RabbitMQ's documentation (passwords.html): salt 908D C60A, password test12.
    const documented = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    users.putHashed({ name: "a", passwordHash: documented, hashing: "sha256", tags: [] });
    assert.equal(users.authenticate("a", bytes("test12"), false), undefined);
    assert.notEqual(users.authenticate("a", bytes("test13"), false), undefined);
    const salt = Buffer.of(1, 2, 3, 4);
    const hash = createHash("sha512").update(salt).update("pass").digest();
    const passwordHash = Buffer.concat([salt, hash]).toString("base64");
    users.putHashed({ name: "b", passwordHash, hashing: "sha512", tags: [] });
    assert.equal(users.authenticate("b", bytes("pass"), false), undefined);
    assert.throws(
      () => users.putHashed({ name: "c", passwordHash, hashing: "sha256", tags: [] }),
      /Cannot add user 'c' as the password hash is not a sha256 hash/,
    );
  });
});

describe("users, permissions", () => {
  function refused(users: UserStore, operation: "configure" | "write" | "read", name: string): boolean {
    try {
      users.accessTo("jane", "/")!.check(operation, "queue", name);
      return false;
    } catch (error) {
      assert.ok(error instanceof AmqpError);
      assert.equal(
        error.replyText,
        `ACCESS_REFUSED - access to queue '${name}' in vhost '/' refused for user 'jane'`,
      );
      return true;
    }
  }

  it("patterns - match anywhere, and an empty one matches only the empty name", () => {
    const users = new UserStore();
    users.put("jane", "x");
    assert.equal(users.accessTo("jane", "/"), undefined);
    users.permit("jane", "/", { configure: "", write: "job", read: "^(job|log)s$" });
    assert.equal(users.accessTo("jane", "other"), undefined);
    assert.equal(refused(users, "configure", "jobs"), true);
    assert.equal(refused(users, "configure", ""), false);
    assert.equal(refused(users, "write", "my-jobs"), false);
    assert.equal(refused(users, "write", "logs"), true);
    assert.equal(refused(users, "read", "logs"), false);
    assert.equal(refused(users, "read", "my-logs"), true);
  });

  it("permissions - the default exchange is checked as amq.default", () => {
    const users = new UserStore();
    users.put("jane", "x");
    users.permit("jane", "/", { configure: "", write: "^amq\\.default$", read: "" });
    const access = users.accessTo("jane", "/")!;
    access.check("write", "exchange", "");
    assert.throws(
      () => access.check("read", "exchange", ""),
      /access to exchange 'amq\.default' in vhost '\/' refused for user 'jane'/,
    );
  });

  it("permissions - a change applies to names that were allowed before", () => {
    const users = new UserStore();
    users.put("jane", "x");
    users.permit("jane", "/", ALL);
    const access = users.accessTo("jane", "/")!;
    for (let i = 0; i < 600; i++) access.check("write", "queue", `q${i % 300}`);
    users.permit("jane", "/", { ...ALL, write: "^q1$" });
    access.check("write", "queue", "q1");
    assert.throws(() => access.check("write", "queue", "q2"), AmqpError);
    users.forbid("jane", "/");
    assert.throws(() => access.check("write", "queue", "q1"), AmqpError);
    users.permit("jane", "/", ALL);
    users.remove("jane");
    assert.throws(() => access.check("read", "queue", "q1"), AmqpError);
  });
});

describe("users, changes", () => {
  it("changes - recreate the users when they are applied in order", () => {
    const changes: DefinitionChange[] = [];
    const users = new UserStore((change) => changes.push(change));
    users.put("jane", "s3cret", ["administrator"]);
    users.put("joe", "x");
    users.permit("jane", "/", ALL);
    users.permit("joe", "/", ALL);
    users.permit("joe", "other", ALL);
    users.forbid("joe", "/");
    users.put("gone", "x");
    users.permit("gone", "/", ALL);
    users.remove("gone");
    const told = changes.length;
    users.put("jane", "s3cret", ["administrator"]);
    users.permit("jane", "/", ALL);
    assert.equal(users.remove("gone") || users.forbid("joe", "/"), false);
    assert.equal(changes.length, told);
    for (const source of [changes, [...users.changes()]]) {
      const copy = new UserStore();
      for (const change of source) copy.apply(JSON.parse(JSON.stringify(change)));
      assert.deepEqual([...copy.changes()], [...users.changes()]);
      assert.equal(copy.authenticate("jane", bytes("s3cret"), false), undefined);
      assert.equal(copy.accessTo("gone", "/"), undefined);
    }
  });

  it("changes - a stored pattern that cannot be compiled matches nothing", () => {
    const users = new UserStore();
    users.put("jane", "x");
    const permission = { configure: "^(?!secret).*", write: "^a", read: ".*" };
    users.apply({ type: "permission-put", user: "jane", vhost: "/", permission });
    const access = users.accessTo("jane", "/")!;
    assert.throws(() => access.check("configure", "queue", "a"), AmqpError);
    access.check("write", "queue", "a");
    assert.deepEqual([...users.permissions()], [{ user: "jane", vhost: "/", ...permission }]);
  });

  it("changes - contain no passwords", () => {
    const changes: DefinitionChange[] = [];
    new UserStore((change) => changes.push(change)).put("jane", "s3cret");
    assert.equal(JSON.stringify(changes).includes("s3cret"), false);
  });
});
