/** Patterns that users write: the same results as RabbitMQ's, in linear time for every pattern. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { compilePattern, filterByPattern } from "../../../lib/regex/pattern.ts";
import { Broker } from "../../../lib/broker/server.ts";

/** A generous deadline, in milliseconds: a backtracking engine takes minutes to years. */
const DEADLINE_MS = 20_000;

/** Patterns that take exponential or high polynomial time in an engine that backtracks. */
const EVIL = [
  "a?".repeat(30) + "b",
  "(a?a?a?a?){9}b",
  "(a|aa)".repeat(30) + "b",
  "a*a*a*a*b",
  "(a+)+b",
  "(a*)*b",
  "(a|a)*b",
  "([a-z]+)*[0-9]",
  "((((a*)*)*)*)*b",
  "(.*a){100}b",
  "(a{0,30}){0,30}b",
  "^(\\w*)*!$",
  ".*.*.*.*.*.*.*.*x",
  "[\\p{L}\\p{N}]{500}b",
];

const NAME = "a".repeat(250);

describe("patterns", () => {
  it("compile - matches common patterns of RabbitMQ", () => {
    const table: [pattern: string, text: string, matches: boolean][] = [
      ["", "", true],
      ["", "a", false],
      [".*", "", true],
      [".*", "a\nb", true],
      ["^$", "a", false],
      ["^amq\\.", "amq.gen-1", true],
      ["^amq\\.", "amqp", false],
      ["^amq\\-gen.*", "amq-gen-1", true],
      ["orders", "my-orders-1", true],
      ["orders$", "my-orders", true],
      ["orders$", "my-orders-1", false],
      ["^orders$", "orders", true],
      ["^orders$", "orders2", false],
      ["^orders.*$", "orders2", true],
      ["^orders.*$", "orders\n2", false],
      ["a.*$", "xa\nb", false],
      ["a.*$", "a\nxab", true],
      ["^(amq\\.gen.*|amq\\.default)$", "amq.default", true],
      ["^[\\w\\-]+\\.x$", "a-b.x", true],
      ["^(a|b)-.*", "b-", true],
      ["^(ab){2}[0-9]{3}-.*-.*$", "abab123-x-y", true],
      ["(?i)jobs", "JOBS", true],
      ["\\Ajobs", "jobs", true],
      ["^[[:alpha:]]+$", "abc", true],
      ["^\\p{Greek}+$", "αβγ", true],
    ];
    for (const [pattern, text, matches] of table) {
      assert.equal(compilePattern(pattern).test(text), matches, `${pattern} on ${JSON.stringify(text)}`);
    }
  });

  for (const pattern of ["[", "(", "*a", "a{3,2}", "\\h"]) {
    it(`compile - refuses ${pattern}, which is not a pattern`, () => {
      assert.throws(
        () => compilePattern(pattern),
        (error: Error) =>
          error instanceof SyntaxError &&
          error.message.startsWith(`Cannot use the pattern '${pattern}': it is not a regular expression (`),
      );
    });
  }

  for (
    const [pattern, feature] of [
      ["^(?!secret).*", "lookahead and lookbehind"],
      ["a(?=b)", "lookahead and lookbehind"],
      ["(?<!a)b", "lookahead and lookbehind"],
      ["(a)\\1", "back-references"],
      ["a++b", "atomic groups and possessive repetitions"],
      ["(?>a)b", "atomic groups and possessive repetitions"],
    ] as const
  ) {
    it(`compile - refuses ${pattern} and names the feature`, () => {
      assert.throws(() => compilePattern(pattern), {
        name: "SyntaxError",
        message:
          `Cannot use the pattern '${pattern}': ${feature} are not supported, because they can take exponential time`,
      });
    });
  }

  it("compile - refuses more than 1024 characters, and takes 1024", () => {
    assert.throws(() => compilePattern("a".repeat(1025)), /more than 1024 characters/);
    assert.equal(compilePattern("a".repeat(1024)).test("a".repeat(1024)), true);
    assert.equal(compilePattern("[ab]".repeat(256)).test("ab".repeat(128)), true);
  });

  it("compile - refuses too many repetitions", () => {
    assert.throws(() => compilePattern("(a?){900}a{900}"), /its repetitions are too many/);
  });

  it("filter - stops after a second", () => {
    const slow = { source: "slow", test: () => true };
    function* endless(): IterableIterator<string> {
      for (;;) yield "a";
    }
    assert.throws(
      () => filterByPattern(slow, endless(), (name) => name),
      /pattern 'slow'.*longer than a second/,
    );
  });
});

describe("patterns, hostile", () => {
  let broker: Broker;
  let http: string;

  before(async () => {
    broker = await Broker.open();
    http = await broker.listenHttp("127.0.0.1:0");
    assert.equal((await put("/queues/%2F/" + NAME, {})).status, 201);
  });

  after(() => broker.close());

  const headers = { authorization: `Basic ${btoa("guest:guest")}` };
  async function put(path: string, body: unknown): Promise<Response> {
    const answer = await fetch(`${http}/api${path}`, { method: "PUT", headers, body: JSON.stringify(body) });
    await answer.body?.cancel();
    return answer;
  }

  for (const pattern of EVIL) {
    it(`${pattern.slice(0, 40)} - takes little time as a filter, a permission and a policy`, {
      timeout: DEADLINE_MS,
    }, async () => {
      const query = new URLSearchParams({ use_regex: "true", name: pattern });
      const answer = await fetch(`${http}/api/queues?${query}`, { headers });
      assert.deepEqual([answer.status, await answer.json()], [200, []]);

      broker.users.put("eve", "x");
      broker.users.permit("eve", "/", { configure: pattern, write: pattern, read: pattern });
      const access = broker.users.accessTo("eve", "/")!;
      assert.throws(() => access.check("configure", "queue", NAME), /access to queue/);

      const policy = { pattern, definition: { "max-length": 1 } };
      assert.equal((await put("/policies/%2F/evil", policy)).status < 300, true);
      assert.equal(broker.vhosts.get("/")!.queues.get(NAME)!.policies, undefined);

      const others = await fetch(`${http}/api/overview`, { headers });
      assert.equal(others.status, 200);
      await others.body?.cancel();
    });
  }
});
