import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TypedNumber } from "../../../../../lib/amqp/types/field_value.ts";
import { exportDefinitions } from "../../../../../lib/broker/core/definitions/definitions.ts";
import { DefinitionsError, importDefinitions } from "../../../../../lib/broker/core/definitions/import.ts";
import type { Json } from "../../../../../lib/broker/core/definitions/table.ts";
import { UserStore } from "../../../../../lib/broker/core/users/user_store.ts";
import { VirtualHost } from "../../../../../lib/broker/core/topology/vhost.ts";
import { makeQueue } from "../../../../support/queues.ts";

const PRODUCT = { product: "mqcat", productVersion: "0.1.0" };

/** A target for definitions without a broker. */
class Target {
  readonly users = new UserStore();
  readonly vhosts = new Map<string, VirtualHost>();
  #ids = 0;

  addVirtualHost(name: string): VirtualHost {
    const vhost = this.vhosts.get(name) ?? new VirtualHost(name, {
      createQueue: makeQueue,
      nextQueueId: () => ++this.#ids,
      onChange: () => {},
    });
    this.vhosts.set(name, vhost);
    return vhost;
  }

  load(json: Json, vhost?: string): string[] {
    return importDefinitions(this, json, vhost);
  }
}

/** The response of RabbitMQ 3.10.8 to `GET /api/definitions`. */
const EXPORTED = {
  rabbit_version: "3.10.8",
  rabbitmq_version: "3.10.8",
  product_name: "RabbitMQ",
  product_version: "3.10.8",
  users: [{
    name: "guest",
    password_hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
    hashing_algorithm: "rabbit_password_hashing_sha256",
    tags: ["administrator"],
    limits: {},
  }],
  vhosts: [{ name: "/" }, { name: "other" }],
  permissions: [{ user: "guest", vhost: "/", configure: ".*", write: ".*", read: ".*" }],
  topic_permissions: [],
  parameters: [],
  global_parameters: [{ name: "internal_cluster_id", value: "rabbitmq-cluster-id-E5dsLiaocKFmLQrFKtVz6A" }],
  policies: [],
  queues: [
    {
      name: "jobs",
      vhost: "/",
      durable: true,
      auto_delete: false,
      arguments: { "x-max-length": 10, big: 4e10 },
    },
    { name: "log", vhost: "other", durable: false, auto_delete: true, arguments: {} },
  ],
  exchanges: [{
    name: "x",
    vhost: "/",
    type: "topic",
    durable: true,
    auto_delete: false,
    internal: false,
    arguments: { "alternate-exchange": "amq.fanout" },
  }],
  bindings: [
    {
      source: "x",
      vhost: "/",
      destination: "jobs",
      destination_type: "queue",
      routing_key: "a.b",
      arguments: { k: 1, list: [true, null, "x"], table: { y: 0.5 } },
    },
    {
      source: "amq.topic",
      vhost: "/",
      destination: "x",
      destination_type: "exchange",
      routing_key: "#",
      arguments: {},
    },
  ],
} satisfies Json;

function byName(list: Json): Json[] {
  return (list as Json[]).map((one) => JSON.stringify(one)).sort();
}

describe("definitions", () => {
  it("definitions - of RabbitMQ are imported and exported unchanged", () => {
    const target = new Target();
    assert.deepEqual(target.load(EXPORTED), []);
    assert.equal(target.users.authenticate("guest", new TextEncoder().encode("test12"), true), undefined);
    const written = exportDefinitions(target, PRODUCT);
    for (const list of ["users", "vhosts", "permissions", "queues", "exchanges", "bindings"] as const) {
      assert.deepEqual(byName(written[list]!), byName(EXPORTED[list]), list);
    }
    const copy = new Target();
    copy.load(written);
    assert.deepEqual(exportDefinitions(copy, PRODUCT), written);
  });

  it("definitions - of one virtual host do not name it", () => {
    const target = new Target();
    target.load(EXPORTED);
    const written = exportDefinitions(target, PRODUCT, "/");
    assert.deepEqual(
      written["queues"],
      [{ ...EXPORTED.queues[0]!, vhost: undefined }].map((queue) => JSON.parse(JSON.stringify(queue))),
    );
    assert.equal("users" in written, false);
    target.load(written, "other");
    assert.ok(target.vhosts.get("other")!.queues.has("jobs"));
    assert.ok(target.vhosts.get("other")!.exchanges.has("x"));
  });

  it("export - omits exclusive queues, their bindings, and predeclared exchanges", () => {
    const target = new Target();
    const vhost = target.addVirtualHost("/");
    const args = { passive: false, durable: false, exclusive: true, autoDelete: false, arguments: {} };
    vhost.declareQueue({ ...args, queue: "mine" }, target);
    vhost.bindQueue({ queue: "mine", exchange: "amq.fanout", routingKey: "", arguments: {} }, target);
    vhost.declareQueue(
      { ...args, exclusive: false, queue: "q", arguments: { n: new TypedNumber("u", 5) } },
      target,
    );
    const written = exportDefinitions(target, PRODUCT);
    assert.deepEqual([written["exchanges"], written["bindings"]], [[], []]);
    assert.deepEqual(written["queues"], [
      { name: "q", vhost: "/", durable: false, auto_delete: false, arguments: { n: 5 } },
    ]);
  });

  it("import - accepts a plain password, and tags as a text with commas", () => {
    const target = new Target();
    target.load({ users: [{ name: "jane", password: "s3cret", tags: "administrator, monitoring" }] });
    assert.equal(target.users.authenticate("jane", new TextEncoder().encode("s3cret"), false), undefined);
    assert.deepEqual(target.users.get("jane")!.tags, ["administrator", "monitoring"]);
  });

  it("import - keeps an existing object that differs, with a warning", () => {
    const target = new Target();
    target.load(EXPORTED);
    const [queue] = EXPORTED.queues;
    const warnings = target.load({ queues: [{ ...queue!, durable: false }] });
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0]!,
      /^queues\[0\] exists and stays unchanged: .*inequivalent arg 'durable'/,
    );
    assert.equal(target.vhosts.get("/")!.queues.get("jobs")!.definition.durable, true);
  });

  it("import - ignores definitions without effect, with a warning", () => {
    const warnings = new Target().load({
      vhosts: [{ name: "/" }],
      policies: [{ name: "ha", vhost: "/", pattern: ".*", definition: { "ha-mode": "all" } }],
      parameters: [{ component: "shovel", vhost: "/", name: "s", value: {} }],
    });
    assert.deepEqual(warnings, [
      "parameters[0] (shovel 's') is ignored: it has no effect on this broker",
      "policies[0] ('ha') has no effect: this broker is a single node without replicas",
    ]);
  });

  const queue = { name: "q", vhost: "/", durable: true, auto_delete: false, arguments: {} };
  const vhosts = [{ name: "/" }];
  const refused: readonly (readonly [json: Json, words: RegExp])[] = [
    [[], /they must be a JSON object|it must be a JSON object/],
    [{ queues: {} }, /queues must be a list/],
    [{ queues: [5] }, /queues\[0\] must be a JSON object/],
    [{ vhosts, queues: [queue, { ...queue, name: 5 }] }, /queues\[1\]\.name must be a string: received 5/],
    [
      { vhosts, queues: [{ ...queue, arguments: [5] }] },
      /queues\[0\]\.arguments must be an object: received/,
    ],
    [{ vhosts, queues: [{ name: "q" }] }, /queues\[0\]\.vhost must be a string: received nothing/],
    [
      { vhosts, queues: [{ ...queue, durable: "yes" }] },
      /queues\[0\]\.durable must be true or false: received "yes"/,
    ],
    [{ queues: [queue] }, /queues\[0\]: virtual host '\/' does not exist/],
    [
      { vhosts, queues: [{ ...queue, name: "amq.q" }] },
      /queues\[0\]: ACCESS_REFUSED - queue name 'amq\.q' contains/,
    ],
    [
      { vhosts, exchanges: [{ name: "x", vhost: "/", type: "odd" }] },
      /exchanges\[0\]: .*unknown exchange type 'odd'/,
    ],
    [
      { vhosts, bindings: [{ source: "x", vhost: "/", destination: "q", destination_type: "stream" }] },
      /bindings\[0\]\.destination_type must be 'queue' or 'exchange': received 'stream'/,
    ],
    [
      { vhosts, policies: [{ name: "p", vhost: "/", pattern: "", definition: { "max-length": "5" } }] },
      /policies\[0\] \('p'\): <<"5">> is not a valid maximum length$/,
    ],
    [
      { vhosts, policies: [{ name: "p", vhost: "/", pattern: "(?!a)", definition: { "max-length": 5 } }] },
      /policies\[0\] \('p'\): pattern should be regular expression but is invalid: .*lookahead/,
    ],
    [
      {
        vhosts,
        parameters: [{
          component: "operator_policy",
          vhost: "/",
          name: "o",
          value: { pattern: "", definition: { overflow: "drop-head" } },
        }],
      },
      /parameters\[0\] \('o'\): \[\{<<"overflow">>,<<"drop-head">>\}\] are not recognised policy settings/,
    ],
    [{ vhosts: [{ name: "/", limits: { "max-cats": 5 } }] }, /vhosts\[0\]: .*Unrecognised terms/s],
    [
      { vhosts: [{ name: "/", metadata: { default_queue_type: "stream" } }] },
      /vhosts\[0\]: the default queue type must be 'classic' or 'quorum': received 'stream'/,
    ],
    [{ topic_permissions: [{}] }, /topic_permissions\[0\]\.user must be a string/],
    [{ vhosts, queues: [{ ...queue, name: "" }] }, /queues\[0\]\.name must not be empty/],
    [
      { users: [{ name: "a", password_hash: "x", hashing_algorithm: "rabbit_password_hashing_md5" }] },
      /users\[0\]\.hashing_algorithm must be one of rabbit_password_hashing_sha256, rabbit_password_hashing_sha512/,
    ],
    [{ users: [{ name: "a", password: 12345 }] }, /users\[0\]\.password must be a string$/],
    [{ users: [{ name: "a", password_hash: "x" }] }, /users\[0\]: Cannot add user 'a' as the password hash/],
    [
      { vhosts, permissions: [{ user: "a", vhost: "/", configure: "", write: "", read: "" }] },
      /permissions\[0\]: Cannot set permissions as user 'a' does not exist/,
    ],
    [
      {
        vhosts,
        users: [{ name: "a" }],
        permissions: [{ user: "a", vhost: "/", configure: "(", write: "", read: "" }],
      },
      /permissions\[0\]: Cannot use the pattern '\('/,
    ],
  ];
  for (const [json, words] of refused) {
    it(`import - refuses ${JSON.stringify(json).slice(0, 90)}`, () => {
      assert.throws(() => new Target().load(json), (error) => {
        assert.ok(error instanceof DefinitionsError, String(error));
        assert.match(error.message, words);
        return error.message.startsWith("Cannot load the definitions: ");
      });
    });
  }

  it("import - reports all mistakes at once and changes nothing", () => {
    const target = new Target();
    target.addVirtualHost("/");
    const before = exportDefinitions(target, PRODUCT);
    assert.throws(
      () =>
        target.load({
          users: [{ name: "a" }, 5, { name: "b", password: 5 }],
          vhosts: [{ name: "new" }],
          permissions: [{ user: "c", vhost: "/", configure: "", write: "", read: "" }],
          policies: [{ name: "p", vhost: "/", pattern: "[", priority: "x", definition: { overflow: "up" } }],
          exchanges: [{ name: "x", vhost: "/", type: "odd" }, { name: "y", vhost: "/", type: "fanout" }],
          queues: [
            queue,
            { ...queue, name: "r", arguments: { "x-max-length": -1 } },
            { ...queue, vhost: "gone" },
          ],
          bindings: [
            { source: "x", vhost: "/", destination: "q" },
            { source: "y", vhost: "/", destination: "r" },
            { source: "y", vhost: "/", destination: "nosuch" },
          ],
        }),
      (error) => {
        assert.ok(error instanceof DefinitionsError);
        const expected = [
          /^users\[1\] must be a JSON object$/,
          /^users\[2\]\.password must be a string$/,
          /^permissions\[0\]: Cannot set permissions as user 'c' does not exist$/,
          /^policies\[0\] \('p'\): <<"up">> is not a valid overflow value$/,
          /^policies\[0\] \('p'\): pattern should be regular expression but is invalid: Cannot use the pattern '\['/,
          /^policies\[0\] \('p'\): priority should be a number, actually was <<"x">>$/,
          /^exchanges\[0\]: .*unknown exchange type 'odd'$/,
          /^queues\[1\]: .*invalid arg 'x-max-length' for queue 'r'/,
          /^queues\[2\]: virtual host 'gone' does not exist$/,
          // Of the bindings, only the one whose ends are not mentioned above.
          /^bindings\[2\]: .*no queue 'nosuch' in vhost '\/'$/,
        ];
        assert.equal(error.mistakes.length, expected.length, error.message);
        expected.forEach((words, i) => assert.match(error.mistakes[i]!, words));
        assert.match(
          error.message,
          /^Cannot load the definitions, which have 10 mistakes: \(1\) users\[1\].*; \(10\) /,
        );
        return true;
      },
    );
    assert.deepEqual(exportDefinitions(target, PRODUCT), before);
  });

  it("import - skips server-named queues and their bindings, with a warning", () => {
    const target = new Target();
    const generated = { ...queue, name: "amq.gen-Xa2", auto_delete: true };
    const warnings = target.load({
      vhosts,
      queues: [queue, generated, { ...generated, name: "amq.gen-Yb3" }],
      bindings: [{ source: "amq.topic", vhost: "/", destination: "amq.gen-Xa2", routing_key: "#" }],
    });
    assert.deepEqual(warnings, [
      "2 queues ('amq.gen-Xa2', …) are skipped, with 1 bindings: a server generated the name for a client that has gone",
    ]);
    assert.deepEqual([...target.vhosts.get("/")!.queues.keys()], ["q"]);
  });

  it("import - an export of one virtual host goes to the default one", () => {
    // The response of RabbitMQ 3.10.8 to GET /api/definitions/prod: policies and parameters name the virtual host.
    const exported = {
      rabbit_version: "3.10.8",
      parameters: [
        { value: { "max-queues": 50 }, vhost: "prod", component: "vhost-limits", name: "limits" },
        {
          value: { pattern: "^q", definition: { expires: 100000 }, priority: 1, "apply-to": "queues" },
          vhost: "prod",
          component: "operator_policy",
          name: "o1",
        },
      ],
      policies: [{
        vhost: "prod",
        name: "p1",
        pattern: "^q",
        "apply-to": "all",
        definition: { "max-length": 5, "message-ttl": 1000 },
        priority: 1,
      }],
      queues: [{ name: "q1", durable: true, auto_delete: false, arguments: { "x-max-length": 4 } }],
      exchanges: [],
      bindings: [],
    } satisfies Json;
    const target = new Target();
    target.addVirtualHost("/");
    assert.deepEqual(target.load(exported), []);
    const home = target.vhosts.get("/")!;
    assert.deepEqual(home.limits, { "max-queues": 50 });
    const { maxLength, messageTtl, expires } = home.queues.get("q1")!.settings;
    assert.deepEqual([maxLength, messageTtl, expires], [4, 1000, 100000]);
    home.queues.get("q1")!.stop();
  });

  it("import - policies, limits, topic permissions and the default queue type come back in an export", () => {
    const target = new Target();
    const json = {
      users: [{ name: "a", password_hash: "", tags: [], limits: { "max-channels": 3 } }],
      vhosts: [{ name: "/", metadata: { default_queue_type: "quorum" } }],
      topic_permissions: [{ user: "a", vhost: "/", exchange: "amq.topic", write: "^{username}", read: "" }],
      parameters: [
        { component: "vhost-limits", vhost: "/", name: "limits", value: { "max-connections": 7 } },
        {
          component: "operator_policy",
          vhost: "/",
          name: "o",
          value: { pattern: "^a", "apply-to": "queues", definition: { "message-ttl": 9 }, priority: -1.5 },
        },
      ],
      policies: [{
        vhost: "/",
        name: "p",
        pattern: "",
        "apply-to": "all",
        definition: { "dead-letter-exchange": "amq.fanout" },
        priority: 0,
      }],
      queues: [{ name: "q", vhost: "/" }],
    } satisfies Json;
    assert.deepEqual(target.load(json), []);
    assert.equal(target.vhosts.get("/")!.queues.get("q")!.settings.type, "quorum");
    const written = exportDefinitions(target, PRODUCT);
    for (const list of ["topic_permissions", "parameters", "policies"] as const) {
      assert.deepEqual(written[list], json[list], list);
    }
    assert.deepEqual((written["users"] as { limits: Json }[])[0]!.limits, { "max-channels": 3 });
    const copy = new Target();
    copy.load(written);
    assert.deepEqual(exportDefinitions(copy, PRODUCT), written);
  });

  it("import - accepts names of JavaScript's built-in properties", () => {
    const target = new Target();
    const json = JSON.parse(
      '{"vhosts":[{"name":"__proto__"}],"queues":[{"name":"constructor","vhost":"__proto__"}]}',
    );
    target.load(json);
    assert.ok(target.vhosts.get("__proto__")!.queues.has("constructor"));
    assert.throws(
      () => target.load(JSON.parse('{"vhosts":[{"__proto__":{"name":"/"}}]}')),
      /vhosts\[0\]\.name must be/,
    );
  });
});
