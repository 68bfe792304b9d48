/** Checks the tables of normative statements: each number once, and each test that they name has the number. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const UNIT = fileURLToPath(new URL("../../..", import.meta.url));

/** The number of statements of each section, whose numbers begin with 1; MQTT 5.0 has no 2.2.1-1. */
const SECTIONS = {
  "mqtt-5.0.md":
    "1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 " +
    "3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 " +
    "3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 " +
    "3.15.2:3 4.1.0:2 4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 " +
    "4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4",
  "mqtt-3.1.1.md":
    "1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 " +
    "3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 " +
    "4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 " +
    "7.1.1:1 7.1.2:1",
};

interface Row {
  readonly number: string;
  readonly where: string;
}

function rowsOf(table: string): Row[] {
  const text = fs.readFileSync(path.join(HERE, table), "utf8");
  return [...text.matchAll(/^\| (\d\S*) +\|.*\| (\S.*?) +\|$/gm)].map(([, number, where]) => ({
    number: number!,
    where: where!,
  }));
}

function fileOf(where: string): string {
  return where === "packets" ? "mqtt/packets_test.ts" : `broker/mqtt/${where}_test.ts`;
}

describe("mqtt checklist", () => {
  for (const [table, sections] of Object.entries(SECTIONS)) {
    const suffix = table === "mqtt-5.0.md" ? "" : " of 3.1.1";

    it(`${table} has each statement once`, () => {
      const expected = sections.split(" ").flatMap((section) => {
        const [name, count] = section.split(":");
        return Array.from({ length: Number(count) }, (_, i) => `${name}-${i + 1}`);
      }).filter((number) => suffix !== "" || number !== "2.2.1-1");
      assert.deepEqual(rowsOf(table).map(({ number }) => number), expected);
    });

    it(`${table} names tests that have the numbers`, () => {
      const sources = new Map<string, string>();
      const missing: string[] = [];
      for (const { number, where } of rowsOf(table)) {
        if (where === "client" || /^none: \S/.test(where)) continue;
        const file = fileOf(where);
        const source = sources.get(file) ?? fs.readFileSync(path.join(UNIT, file), "utf8");
        sources.set(file, source);
        if (!source.includes(`[MQTT-${number}${suffix}]`)) missing.push(`${number}${suffix} in ${file}`);
      }
      assert.deepEqual(missing, []);
    });
  }

  it("the tests name only numbers of the tables", () => {
    const known = new Set<string>();
    for (const { number } of rowsOf("mqtt-5.0.md")) known.add(number);
    for (const { number } of rowsOf("mqtt-3.1.1.md")) known.add(`${number} of 3.1.1`);
    const files = ["mqtt", "broker/mqtt"].flatMap((folder) =>
      fs.readdirSync(path.join(UNIT, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith("_test.ts")).map((name) => path.join(UNIT, folder, name))
    );
    const unknown = files.flatMap((file) =>
      [...fs.readFileSync(file, "utf8").matchAll(/\[MQTT-(\d[^\]$]*)\]/g)].map(([, number]) => number!)
    ).filter((number) => !known.has(number));
    assert.deepEqual(unknown, []);
  });
});
