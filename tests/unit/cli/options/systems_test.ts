import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../../../cli/app/errors.ts";
import { COMMANDS } from "../../../../cli/commands/mod.ts";
import { brokerOperand, refuseOptions, RULES } from "../../../../cli/options/systems.ts";
import { brokerSystemOf, shortName } from "../../../../lib/patterns/address.ts";
import { importsOf } from "../../../support/source_scan.ts";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const PATTERNS = ["pub", "sub", "push", "pull", "req", "rep", "proxy"];

describe("short addresses", () => {
  it("short addresses - a login without // is refused, and not shown", () => {
    for (const address of ["amqp:guest:s3cret@h/jobs", "mqtt:/guest:s3cret@h/a", "STOMP::s3cret@h"]) {
      assert.throws(() => shortName(address), (error: Error) => {
        assert.match(error.message, /it has a login, but no '\/\/' \(try \w+:\/\/user@host/);
        assert.doesNotMatch(error.message, /s3cret|guest/);
        return true;
      });
    }
    assert.equal(shortName("stomp:/queue/a:b@c"), "/queue/a:b@c");
    assert.equal(shortName("mqtt:a/b:c@d"), "a/b:c@d");
  });
});

describe("systems", () => {
  const addresses: [address: string, system: string | undefined, short?: string][] = [
    ["amqp://host//jobs", "amqp"],
    ["AMQPS://host", "amqp"],
    ["pyamqp://host", "amqp"],
    ["amqp:jobs", "amqp", "jobs"],
    ["amqp:", "amqp", ""],
    ["amqp:5672", undefined],
    ["amqp:*", undefined],
    ["rabbitmq:jobs", undefined],
    ["mqtt:sensors/+/t", "mqtt", "sensors/+/t"],
    ["mqtts://host/#", "mqtt"],
    ["stomp:/queue/jobs", "stomp", "/queue/jobs"],
    ["tcp://amqp:5672", undefined],
    ["host:5555", undefined],
    [":5555", undefined],
    ["ipc:///tmp/amqp", undefined],
  ];
  for (const [address, system, short] of addresses) {
    it(`systems - ${address} is ${system === undefined ? "not of a broker" : `of ${system}`}`, () => {
      assert.equal(brokerSystemOf(address), system);
      if (system !== undefined) assert.equal(shortName(address), short);
    });
  }

  it("systems - every rule names an option of a command, by its key and its flag", async () => {
    const found = new Set<string>();
    for (const { name, load } of COMMANDS) {
      if (!PATTERNS.includes(name)) continue;
      for (const [key, { flags }] of Object.entries((await load()).default.options)) {
        const rule = RULES[key];
        if (rule === undefined) continue;
        assert.match(flags, new RegExp(`(^| )${rule.flag}( |$)`), `${name}: ${key}`);
        found.add(key);
      }
    }
    assert.deepEqual(Object.keys(RULES).filter((key) => !found.has(key)), []);
  });

  it("systems - options that a system cannot obey are refused with the reason", () => {
    assert.throws(
      () => refuseOptions("amqp", { waitPeers: 0 }),
      /^Error: --wait-peers is for ZeroMQ, not for AMQP: a broker takes messages whether or not/,
    );
    assert.throws(() => refuseOptions("zmq", { mandatory: true }), /--mandatory is for AMQP, not for ZeroMQ/);
    assert.throws(() => refuseOptions("zmq", { header: [["a", "b"]] }), UsageError);
    refuseOptions("zmq", { header: [], mandatory: undefined, waitPeers: 1 });
    refuseOptions("mqtt", { header: [["a", "b"]], qos: "2" });
  });

  it("systems - a broker is the only address, and is connected to; no error shows its password", () => {
    assert.equal(brokerOperand("push", {}, [":5555", "ipc:///x"]), undefined);
    assert.deepEqual(brokerOperand("push", {}, [">amqp:jobs"]), { system: "amqp", address: "amqp:jobs" });
    for (const operands of [["amqp://me:sesame@host//a", ":5555"], ["@amqp://me:sesame@host//a"]]) {
      assert.throws(
        () => brokerOperand("push", {}, operands),
        (error: Error) => error instanceof UsageError && !error.message.includes("sesame"),
      );
    }
  });

  it("systems - no client of a broker is loaded by a command before an address names it", () => {
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const source = fs.readFileSync(path.join(ROOT, file), "utf8");
      const dynamic = new Set(Array.from(source.matchAll(/\bimport\("([^"]+)"\)/g), ([, name]) => name));
      for (const { specifier, typeOnly } of importsOf(source)) {
        if (typeOnly || dynamic.has(specifier) || !specifier.endsWith(".ts")) continue;
        visit(path.posix.join(path.posix.dirname(file), specifier));
      }
    };
    for (const name of PATTERNS) visit(`cli/commands/${name}.ts`);
    assert.ok(seen.has("lib/zmq/types/push.ts"), "the scan did not follow the imports");
    assert.deepEqual(
      [...seen].filter((file) => /^(lib\/(amqp|mqtt|stomp|link|crossing)|cli\/(brokers|queue))\//.test(file)),
      [],
    );
  });
});
