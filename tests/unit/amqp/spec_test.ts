/** The method tables against the XML of the specification, where Debian's package amqp-specs is installed. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { methodId, methodName } from "../../../lib/amqp/method_codec.ts";
import { METHODS, type MethodSpec } from "../../../lib/amqp/methods.ts";
import { isHard, REPLY_CODES, replyName } from "../../../lib/amqp/reply_codes.ts";
import { requirePeer } from "../../support/helpers.ts";

const FOLDER = "/usr/share/amqp/specs/";
const STANDARD = `${FOLDER}0-9-1/amqp0-9-1.stripped.xml`;
const EXTENDED = `${FOLDER}0-9-1-rabbit/amqp0-9-1.stripped.extended.xml`;

/** RabbitMQ's extensions that are newer than its XML, and access.request, which it kept from AMQP 0-8. */
const NOT_IN_EXTENDED = [
  "access.request",
  "access.request-ok",
  "connection.blocked",
  "connection.unblocked",
  "connection.update-secret",
  "connection.update-secret-ok",
];
/** RabbitMQ's older extensions. */
const NOT_IN_STANDARD = [
  ...NOT_IN_EXTENDED,
  "basic.nack",
  "confirm.select",
  "confirm.select-ok",
  "exchange.bind",
  "exchange.bind-ok",
  "exchange.unbind",
  "exchange.unbind-ok",
].sort();

interface Found {
  id: number;
  fields: [name: string, type: string][];
  replies: string[];
  content: boolean;
}

function attributes(tag: string): Record<string, string> {
  return Object.fromEntries(
    Array.from(tag.matchAll(/([\w-]+)="([^"]*)"/g), ([, name, value]) => [name, value]),
  );
}

/** `no-wait` -> `noWait`, `reserved-1` -> `reserved1`; `nowait`, which RabbitMQ wrote once, is the same. */
function camel(name: string): string {
  return name === "nowait" ? "noWait" : name.replace(/-(\w)/g, (_, char: string) => char.toUpperCase());
}

function methodsOf(xml: string): Map<string, Found> {
  const domains = new Map<string, string>();
  for (const [tag] of xml.matchAll(/<domain [^>]*>/g)) {
    const { name, type } = attributes(tag);
    domains.set(name!, type!);
  }
  const methods = new Map<string, Found>();
  for (const [, head, body] of xml.matchAll(/<class ([^>]*)>([^]*?)<\/class>/g)) {
    const owner = attributes(head!);
    for (const [, head, inner] of body!.matchAll(/<method ([^>]*[^/])>([^]*?)<\/method>/g)) {
      const method = attributes(head!);
      methods.set(`${owner["name"]}.${method["name"]}`, {
        id: Number(owner["index"]) << 16 | Number(method["index"]),
        fields: Array.from(inner!.matchAll(/<field [^>]*>/g), ([tag]) => {
          const { name, domain, type } = attributes(tag);
          return [camel(name!), type ?? domains.get(domain!)!];
        }),
        replies: Array.from(
          inner!.matchAll(/<response [^>]*>/g),
          ([tag]) => `${owner["name"]}.${attributes(tag)["name"]}`,
        ),
        content: method["content"] === "1",
      });
    }
  }
  return methods;
}

const ours = Object.entries(METHODS as Record<string, MethodSpec>);

describe("amqp methods", () => {
  const test = requirePeer("amqp-specs", fs.existsSync(STANDARD) && fs.existsSync(EXTENDED));

  function compare(
    file: string,
    missing: readonly string[],
    rename: (name: string, field: string) => string,
  ) {
    const theirs = methodsOf(fs.readFileSync(file, "utf8"));
    assert.ok(theirs.size > 50, "the XML was not understood");
    const seen: string[] = [];
    for (const [name, spec] of ours) {
      const found = theirs.get(name);
      if (found === undefined) continue;
      seen.push(name);
      assert.deepEqual(
        {
          id: spec.id,
          fields: spec.fields.map(([field, type]) => [rename(name, field), type]),
          replies: [...spec.replies ?? []],
          content: spec.content === true,
        },
        // basic.recover has a reply, though the XML does not name it.
        name === "basic.recover" ? { ...found, replies: ["basic.recover-ok"] } : found,
        name,
      );
    }
    assert.deepEqual([...theirs.keys()].filter((name) => !seen.includes(name)), [], "methods that we lack");
    assert.deepEqual(ours.map(([name]) => name).filter((name) => !seen.includes(name)).sort(), missing);
  }

  test("methods - are those of RabbitMQ's XML and the listed extensions", () => {
    compare(EXTENDED, NOT_IN_EXTENDED, (_, field) => field);
  });

  test("methods - are those of the standard's XML and the listed extensions", () => {
    // RabbitMQ uses two reserved bits of exchange.declare with their meaning in 0-8.
    const reserved: Record<string, string> = { autoDelete: "reserved2", internal: "reserved3" };
    compare(
      STANDARD,
      NOT_IN_STANDARD,
      (name, field) => name === "exchange.declare" ? reserved[field] ?? field : field,
    );
  });

  test("reply codes - are those of the standard's XML and RabbitMQ's 312", () => {
    const xml = fs.readFileSync(STANDARD, "utf8");
    const theirs = Array.from(xml.matchAll(/<constant [^>]*>/g), ([tag]) => attributes(tag))
      .filter(({ value }) => Number(value) >= 200 && Number(value) < 4096 && value !== "206")
      .map(({ name, value, class: kind }) => [
        Number(value),
        name!.toUpperCase().replaceAll("-", "_"),
        kind === "hard-error",
      ]);
    const codes = Object.entries(REPLY_CODES).map(([code, { name, hard }]) => [Number(code), name, hard]);
    assert.deepEqual(codes.filter(([code]) => code !== 312), theirs);
    assert.deepEqual([replyName(312), isHard(312)], ["NO_ROUTE", false]);
  });

  it("methods - every id is unique and every reply exists", () => {
    assert.equal(new Set(ours.map(([, spec]) => spec.id)).size, ours.length);
    for (const [name, spec] of ours) {
      assert.equal(methodName(spec.id), name);
      for (const reply of spec.replies ?? []) assert.ok(reply in METHODS, `${name} has the reply ${reply}`);
    }
    assert.equal(methodName(methodId("exchange.unbind") + 1), undefined);
    assert.equal(methodId("exchange.unbind-ok"), 40 << 16 | 51);
    assert.equal(methodName(0), undefined);
  });

  it("methods - the methods with -ok and get-empty are replies, and no others", () => {
    const replies = new Set(ours.flatMap(([, spec]) => spec.replies ?? []));
    const named = ours.map(([name]) => name).filter((name) => /-(ok|empty)$/.test(name));
    assert.deepEqual([...replies].sort(), named.sort());
  });

  it("reply codes - an unknown code has a name, and counts as a hard error", () => {
    assert.equal(replyName(599), "REPLY_599");
    assert.equal(isHard(599), true);
    assert.deepEqual([isHard(404), isHard(530)], [false, true]);
  });
});
