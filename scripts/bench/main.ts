/**
 * The benchmark: our programs and their peers do the same work in turns. The result of each row is the median of the
 * ratios; over 1 is better than the peer.
 *
 *   deno task bench [ROW…]            rows or groups, or the beginning of their names. Default: all of them
 *     --list                          print the names of the rows
 *     --rounds N                      the most rounds of a row (default: 5)
 *     --limit SECONDS                 a row begins no further round after this time (default: 120)
 *     --quick                         one round with a twentieth of the work, to see that the rows run
 *     --json FILE                     write the results, and keep the other rows of this file
 *     --program NAME=COMMAND          measure a further program, such as an older version of mqcat (repeats)
 */
import os from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { execFileSync } from "node:child_process";
import { findBun } from "../bun.ts";
import { Lab, type OurProgram } from "./lab.ts";
import { missing } from "./peers.ts";
import { stopAll } from "./processes.ts";
import { type RowResult, save } from "./results.ts";
import type { Group, Row } from "./row.ts";
import { GROUPS } from "./rows/mod.ts";
import { runRow } from "./run.ts";
import { renderRow } from "./table.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: "boolean", default: false },
    rounds: { type: "string" },
    limit: { type: "string", default: "120" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    program: { type: "string", multiple: true, default: [] },
  },
});

function select(names: readonly string[]): Map<Group, readonly Row[]> {
  const isChosen = (name: string) => names.length === 0 || names.some((start) => name.startsWith(start));
  const chosen = new Map<Group, readonly Row[]>();
  for (const group of GROUPS) {
    const rows = isChosen(group.name) ? group.rows : group.rows.filter(({ name }) => isChosen(name));
    if (rows.length > 0) chosen.set(group, rows);
  }
  for (const start of names) {
    const known = GROUPS.flatMap(({ name, rows }) => [name, ...rows.map(({ name }) => name)]);
    if (!known.some((name) => name.startsWith(start))) {
      throw new Error(`There is no row '${start}': deno task bench --list prints their names`);
    }
  }
  return chosen;
}

function programOf(text: string): OurProgram {
  const at = text.indexOf("=");
  if (at < 1) throw new Error(`--program '${text}': expected NAME=COMMAND`);
  return { name: text.slice(0, at), command: text.slice(at + 1).split(" ") };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} '${text}': expected a number above 0`);
  return value;
}

const VERSIONS = {
  deno: Deno.version.deno,
  bun: execFileSync(findBun(), ["--version"], { encoding: "utf8" }).trim(),
};

const ORDER = GROUPS.flatMap(({ rows }) => rows.map(({ name }) => name));

function describeMachine(): string {
  const [cpu] = os.cpus();
  return `${cpu?.model.trim() ?? "unknown CPU"}, ${os.cpus().length} cores, ${os.type()} ${os.release()}`;
}

async function main(): Promise<void> {
  const chosen = select(positionals);
  if (options.list) {
    for (const [group, rows] of chosen) {
      console.log(`${group.name}: ${group.title}`);
      for (const { name, title } of rows) console.log(`  ${name.padEnd(24)} ${title}`);
    }
    return;
  }
  const rounds = positive("rounds", options.rounds ?? (options.quick ? "1" : "5"));
  const limitMs = positive("limit", options.limit) * 1000;
  const lab = new Lab(options.quick, options.program.map(programOf));
  process.once("SIGINT", async () => {
    await stopAll();
    await lab.close();
    process.exit(130);
  });
  const done: RowResult[] = [];
  try {
    for (const [group, rows] of chosen) {
      console.log(`\n${group.title}`);
      for (const row of rows) {
        const absent = missing(row.needs);
        if (absent !== undefined) {
          console.log(`\n${row.name}: skipped, as packages are missing: install ${absent}`);
          continue;
        }
        try {
          done.push(await runRow(lab, group.name, row, { rounds, limitMs }));
          console.log(renderRow(done.at(-1)!));
        } catch (error) {
          // The other rows are still of use.
          console.log(`\n${row.name}: failed: ${error instanceof Error ? error.message : error}`);
          process.exitCode = 1;
          await stopAll();
          await lab.endGroup();
        }
        if (options.json !== undefined) {
          const date = new Date().toISOString();
          save(options.json, { date, machine: describeMachine(), versions: VERSIONS, rows: done }, ORDER);
        }
      }
      await lab.endGroup();
    }
  } finally {
    await stopAll();
    await lab.close();
  }
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
