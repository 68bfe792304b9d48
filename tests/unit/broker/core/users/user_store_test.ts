import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import type { DefinitionChange } from "../../../../../lib/broker/core/topology/definition_change.ts";
import { hashPassword } from "../../../../../lib/broker/core/users/password.ts";
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
    users.putHashed({ name: "jim", passwordHash: hashPassword(""), hashing: "sha256", tags: [] });
    for (const user of ["joe", "jim"]) {
      for (const password of ["x", ""]) {
        assert.match(users.authenticate(user, bytes(password), true)!, /wrong password/);
      }
    }
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

  it("changes - each one, also an applied one, makes earlier checks void; what changes nothing does not", () => {
    const told: string[] = [];
    const users = new UserStore((change) => void told.push(change.type));
    const permission = { write: "a", read: "b" };
    const hashed = { name: "joe", passwordHash: "", hashing: "sha256", tags: [] } as const;
    const steps: [act: () => unknown, told: string | undefined, isVoid: boolean][] = [
      [() => users.put("jane", "a"), "user-put", true],
      [() => users.put("jane", "a"), undefined, false],
      [() => users.put("jane", "b"), "user-put", true],
      [() => users.put("jane", "b", ["monitoring"]), "user-put", true],
      [() => users.put("jane", "b", ["monitoring", "management"]), "user-put", true],
      [() => users.put("jane", "", ["monitoring"]), "user-put", true],
      [() => users.putHashed(hashed), "user-put", true],
      [() => users.permit("jane", "/", ALL), "permission-put", true],
      [() => users.permit("jane", "/", ALL), undefined, false],
      [() => users.permit("jane", "/", { ...ALL, configure: "x" }), "permission-put", true],
      [() => users.permit("jane", "/", { ...ALL, configure: "x", write: "x" }), "permission-put", true],
      [() => users.permit("jane", "/", { configure: "x", write: "x", read: "x" }), "permission-put", true],
      [() => users.permit("jane", "x", { configure: "x", write: "x", read: "x" }), "permission-put", true],
      [() => users.forbid("joe", "/"), undefined, false],
      [() => users.forbid("jane", "/"), "permission-removed", true],
      [() => users.forbid("jane", "/"), undefined, false],
      [() => users.permitTopics("jane", "/", "t", permission), "topic-permission-put", true],
      [() => users.forbidTopics("jane", "/", "u"), undefined, false],
      [() => users.forbidTopics("jane", "/", "t"), "topic-permission-removed", true],
      [() => users.forbidTopics("jane", "/", "t"), undefined, false],
      [() => users.forgetVhost("x"), undefined, true],
      [() => users.remove("joe"), "user-removed", true],
      [() => users.remove("joe"), undefined, false],
      [() => users.apply({ type: "user-put", user: hashed }), undefined, true],
      [() => users.apply({ type: "user-removed", name: "joe" }), undefined, true],
    ];
    steps.forEach(([act, type, isVoid], i) => {
      const { revision } = users;
      act();
      assert.deepEqual([told.splice(0), users.revision > revision], [
        type === undefined ? [] : [type],
        isVoid,
      ], `${i}`);
    });
    assert.deepEqual([users.has("jane"), users.has("joe"), users.size, users.get("jane")!.tags], [
      true,
      false,
      1,
      ["monitoring"],
    ]);
    assert.equal(users.authenticateCertificate("jane", false), undefined);
    assert.equal(users.authenticateCertificate("joe", true), "there is no user 'joe'");
  });

  it("changes - contain no passwords", () => {
    const changes: DefinitionChange[] = [];
    new UserStore((change) => changes.push(change)).put("jane", "s3cret");
    assert.equal(JSON.stringify(changes).includes("s3cret"), false);
  });
});

describe("users, topic permissions", () => {
  const topics = (users: UserStore) =>
    [...users.topicPermissions()].map(({ user, vhost, exchange, write, read }) =>
      `${user} ${vhost} ${exchange} ${write} ${read}`
    );

  it("topics - are set, replaced and removed, also with the user or the virtual host", () => {
    const changes: DefinitionChange[] = [];
    const users = new UserStore((change) => changes.push(change));
    for (const name of ["ann", "annx"]) users.put(name, "x");
    assert.throws(
      () => users.permitTopics("bob", "/", "t", { write: "", read: "" }),
      /^RangeError: Cannot set topic permissions as user 'bob' does not exist$/,
    );
    users.permitTopics("ann", "/", "t", { write: "a", read: "b" });
    users.permitTopics("ann", "/", "u", { write: "c", read: "d" });
    users.permitTopics("ann", "x/", "t", { write: "e", read: "f" });
    users.permitTopics("annx", "/", "t", { write: "g", read: "h" });
    users.permitTopics("ann", "/", "t", { write: "i", read: "j" });
    assert.deepEqual(topics(users), ["ann / t i j", "ann / u c d", "ann x/ t e f", "annx / t g h"]);
    assert.deepEqual(
      [
        users.forbidTopics("ann", "/", "v"),
        users.forbidTopics("joe", "/", "t"),
        users.forbidTopics("ann", "/", "u"),
      ],
      [false, false, true],
    );
    const told = changes.splice(0).map(({ type }) => type);
    assert.deepEqual(told.slice(2), [...Array(5).fill("topic-permission-put"), "topic-permission-removed"]);
    const copy = new UserStore();
    for (const change of users.changes()) copy.apply(change);
    assert.deepEqual(topics(copy), topics(users));
    copy.apply({ type: "topic-permission-removed", user: "ann", vhost: "/", exchange: "t" });
    assert.deepEqual(topics(copy), ["ann x/ t e f", "annx / t g h"]);
    users.forgetVhost("/");
    assert.deepEqual(topics(users), ["ann x/ t e f"]);
    copy.remove("ann");
    assert.deepEqual(topics(copy), ["annx / t g h"]);
  });

  it("topics - restrict topic exchanges only, and every change is seen at once", () => {
    const users = new UserStore();
    users.put("ann", "x");
    users.permit("ann", "/", ALL);
    const access = users.accessTo("ann", "/")!;
    const exchanges = new Map(["topic", "direct"].map((type) => [type, { definition: { type } }]));
    const check = (operation: "write" | "read", name: string, key: string) => {
      try {
        access.checkTopic(operation, exchanges, name, key);
        return "";
      } catch (error) {
        assert.ok(error instanceof AmqpError && error.replyCode === 403);
        return error.replyText;
      }
    };
    const text =
      "ACCESS_REFUSED - access to topic 'k' in exchange 'topic' in vhost '/' refused for user 'ann'";
    assert.equal(check("write", "topic", "k"), "");
    users.permitTopics("ann", "/", "topic", { write: "^a$", read: "^k$" });
    assert.deepEqual([
      check("write", "topic", "k"),
      check("write", "topic", "a"),
      check("read", "topic", "k"),
    ], [
      text,
      "",
      "",
    ]);
    assert.deepEqual(["direct", "missing"].map((name) => check("write", name, "k")), ["", ""]);
    // More keys than are remembered.
    users.permitTopics("ann", "/", "topic", { write: "^k\\d+$", read: "" });
    for (let i = 0; i < 600; i++) assert.equal(check("write", "topic", `k${i % 300}`), "");
    assert.equal(check("write", "topic", "k"), text);
    const before = access.revision;
    users.forbidTopics("ann", "/", "topic");
    assert.equal(check("write", "topic", "k"), "");
    users.forgetVhost("/");
    assert.notEqual(access.revision, before);
  });

  it("topics - name the user, the virtual host and the client of MQTT, each as it is", () => {
    const users = new UserStore();
    users.put("a.n", "x");
    users.permit("a.n", "v+", ALL);
    const exchanges = new Map([["t", { definition: { type: "topic" } }]]);
    const allowed = (operation: "write" | "read", clientId: string | undefined, ...keys: string[]) => {
      const access = users.accessTo("a.n", "v+", clientId)!;
      return keys.filter((key) => {
        // The second answer is a cached one.
        const once = () => {
          try {
            access.checkTopic(operation, exchanges, "t", key);
            return true;
          } catch {
            return false;
          }
        };
        const first = once();
        assert.equal(once(), first);
        return first;
      });
    };
    users.permitTopics("a.n", "v+", "t", {
      write: "^{username}/{vhost}/{username}$",
      read: "^{client_id}/{username}/{client_id}$",
    });
    assert.deepEqual(allowed("write", "c", "a.n/v+/a.n", "axn/v+/a.n", "a.n/vv/a.n", "a.n/v+/{username}"), [
      "a.n/v+/a.n",
    ]);
    const keys = ["c*/a.n/c*", "cc/a.n/cc", "c*/a.n/{client_id}", "/a.n/", "$&/a.n/$&"];
    assert.deepEqual(allowed("read", "c*", ...keys), ["c*/a.n/c*"]);
    assert.deepEqual(allowed("read", "cc", ...keys), ["cc/a.n/cc"]);
    assert.deepEqual(allowed("read", "", ...keys), ["/a.n/"]);
    assert.deepEqual(allowed("read", "$&", ...keys), ["$&/a.n/$&"]);
    // Only one of both patterns names the client.
    users.permitTopics("a.n", "v+", "t", { write: "^{client_id}$", read: "^k$" });
    assert.deepEqual([allowed("write", "c", "c", "k"), allowed("read", "c", "c", "k")], [["c"], ["k"]]);
    // An identifier that makes the pattern too long allows nothing.
    assert.deepEqual(allowed("write", "c".repeat(60_000), "c", "c".repeat(60_000)), []);
    // All pairs of brackets and signs that mean something in a pattern stand for themselves.
    const signs = "\\^$.*+?()[]{}|";
    users.permitTopics("a.n", "v+", "t", { write: "^{client_id}$", read: "" });
    assert.deepEqual(allowed("write", signs, signs, ""), [signs]);
  });

  it("users - keep their limits when they are changed, and need a name", () => {
    const users = new UserStore();
    assert.equal(users.size, 0);
    users.putHashed({
      name: "a",
      passwordHash: "",
      hashing: "sha256",
      tags: [],
      limits: { "max-channels": 3 },
    });
    users.put("a", "x", ["management"]);
    assert.deepEqual(users.get("a")!.limits, { "max-channels": 3 });
    assert.throws(() => users.put("", "x"), /^RangeError: Cannot add a user as the name is empty$/);
    assert.throws(
      () => users.permit("b", "/", ALL),
      /^RangeError: Cannot set permissions as user 'b' does not exist$/,
    );
    assert.deepEqual([...users].map(({ name }) => name), ["a"]);
  });
});
