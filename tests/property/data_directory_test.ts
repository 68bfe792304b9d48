/**
 * Damaged data directories: bytes are flipped, files are cut, deleted, swapped and doubled. A broker opens each
 * directory in this process and everything is read. No damaged body is handed out, nothing is destroyed that could be
 * read, every loss is reported, nothing crashes or hangs, and lost users are no open door.
 *
 * `MQCAT_PLACES=2000` flips bytes at that many random places, `MQCAT_SEED` repeats a run.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { BrokerCore } from "../../lib/broker/core/broker_core.ts";
import { encodeMessage } from "../../lib/broker/core/message.ts";
import type { Queue } from "../../lib/broker/core/queue/queue.ts";
import { CORE_OPTIONS } from "../support/core_options.ts";
import { tempDir } from "../support/helpers.ts";
import { copyFiles } from "../support/journal_model.ts";
import { seeded } from "../fault/queue_ledger.ts";

const PLACES = Number(process.env["MQCAT_PLACES"] ?? 150);
const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** The time that one start with reading everything may take, in milliseconds. */
const CASE_DEADLINE = 10_000;
/** The number of bytes at the begin of a file that belong to its header, by the end of its name. */
const HEADS: [RegExp, number][] = [[/\.log$/, 56], [/\.idx$/, 56], [/./, 14]];

type Files = ReadonlyMap<string, Uint8Array>;

/** The content of a directory: files, the live bodies of each queue, and the acknowledged ones. */
interface Made {
  readonly files: Files;
  readonly live: ReadonlyMap<string, readonly string[]>;
  readonly acknowledged: ReadonlySet<string>;
  /** The user `guest` with the well-known password exists. */
  readonly stopped: boolean;
}

function open(data: string, problems: string[]): BrokerCore {
  const fail = (error: Error) => {
    throw error;
  };
  return new BrokerCore({ ...CORE_OPTIONS, data, segmentSize: 4096 }, {
    onBlocked: (reason) => reason === undefined || fail(new Error(reason)),
    onFailure: fail,
    onDamage: (what) => problems.push(what),
  });
}

function publish(core: BrokerCore, exchange: string, routingKey: string, text: string): void {
  const message = encodeMessage(
    { exchange, routingKey },
    { deliveryMode: 2 },
    new TextEncoder().encode(text),
  );
  assert.ok(core.intake.publishInternally(core.vhosts.get("/")!, exchange, routingKey, message).taken);
}

/** Makes directories of a broker that was stopped, and of one that was killed. */
function make(directory: string): Made[] {
  const core = open(directory, []);
  core.users.put("alice", "secret", ["administrator"]);
  core.users.remove("guest");
  core.cycle.begin();
  const vhost = core.vhosts.get("/")!;
  const durable = { passive: false, durable: true, autoDelete: false, exclusive: false };
  const host = { id: "test" } as unknown as Parameters<typeof vhost.declareQueue>[1];
  const declare = (queue: string, args: Record<string, string | number>) =>
    vhost.declareQueue({ ...durable, queue, arguments: args }, host);
  const dead = declare("dead", {});
  const jobs = declare("jobs", {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": "dead",
    "x-max-priority": 3,
  });
  const logs = declare("logs", {});
  core.cycle.end();
  const acknowledged = new Set<string>();
  for (let round = 0; round < 6; round++) {
    core.cycle.begin();
    for (let i = 0; i < 8; i++) publish(core, "", "jobs", `job ${round}/${i} `.padEnd(40 + 17 * i, "j"));
    for (let i = 0; i < 4; i++) publish(core, "", "logs", `log ${round}/${i} `.padEnd(150, "l"));
    for (const [queue, count] of [[jobs, 5], [logs, 2], [dead, 1]] as const) {
      for (let i = 0; i < count && queue.take(); i++) {
        const { takenLane, takenSeq } = queue;
        const body = bodyOf(queue, takenLane, takenSeq)!;
        if (queue === jobs && i === 0) queue.reject(takenLane, takenSeq);
        else queue.settle(takenLane, takenSeq);
        acknowledged.add(`${queue.name}: ${body}`);
      }
      queue.noteDelivered();
    }
    core.cycle.end();
  }
  const live = new Map([jobs, logs, dead].map((queue) => [queue.name, [...read(queue).keys()]]));
  const killed = `${directory}.killed`;
  copyFiles(directory, killed);
  core.close();
  return [
    { files: load(directory), live, acknowledged, stopped: true },
    { files: load(killed), live, acknowledged, stopped: false },
  ];
}

function bodyOf(queue: Queue, lane: number, seq: number): string | undefined {
  const message = queue.messageAt(lane, seq);
  return message && new TextDecoder().decode(message.body.subarray(message.bodyStart, message.bodyEnd));
}

/** Reads all messages of a queue: bodies, and whether each is marked as redelivered. Damaged ones are left out. */
function read(queue: Queue): Map<string, boolean> {
  const found = new Map<string, boolean>();
  queue.lanes.forEach((lane, at) => {
    for (let seq = 0; (seq = lane.nextReady(seq)) >= 0; seq++) {
      const body = bodyOf(queue, at, seq);
      if (body === undefined) continue;
      assert.ok(!found.has(body), `"${body}" is in ${queue.name} twice`);
      found.set(body, lane.isRedelivered(seq));
    }
  });
  return found;
}

function load(directory: string): Files {
  const names = fs.readdirSync(directory).filter((name) => fs.statSync(`${directory}/${name}`).isFile());
  return new Map(names.map((name) => [name, new Uint8Array(fs.readFileSync(`${directory}/${name}`))]));
}

function store(directory: string, files: Files): void {
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory);
  for (const [name, bytes] of files) fs.writeFileSync(`${directory}/${name}`, bytes);
}

/** One harm: the changed files, and whether a loss after a crash can look like an incomplete write. */
interface Harm {
  readonly name: string;
  readonly files: Files;
  readonly changed: readonly string[];
}

function flips(files: Files, name: string, places: readonly number[]): Harm[] {
  const bytes = files.get(name)!;
  return places.filter((at) => at < bytes.length).map((at) => {
    const changed = bytes.slice();
    changed[at]! ^= 1 << at % 8;
    return { name: `${name}, byte ${at}`, files: new Map([...files, [name, changed]]), changed: [name] };
  });
}

function headFlips({ files }: Made): Harm[] {
  return [...files.keys()].flatMap((name) => {
    const length = HEADS.find(([pattern]) => pattern.test(name))![1];
    return flips(files, name, Array.from({ length }, (_, i) => i));
  });
}

function randomFlips({ files }: Made, random: () => number): Harm[] {
  const all = [...files].flatMap(([name, { length }]) => ({ name, length })).filter(({ length }) =>
    length > 0
  );
  const total = all.reduce((sum, { length }) => sum + length, 0);
  return Array.from({ length: PLACES }, () => {
    let at = Math.floor(random() * total);
    const file = all.find(({ length }) => (at -= length) < 0)!;
    return flips(files, file.name, [at + file.length])[0]!;
  });
}

/** Files that are deleted, cut, doubled, copied under another number, and swapped. */
function rearranged({ files }: Made, random: () => number): Harm[] {
  const harms: Harm[] = [];
  const names = [...files.keys()];
  const add = (name: string, changes: [string, Uint8Array | undefined][]) => {
    const changed = new Map(files);
    for (const [file, bytes] of changes) {
      if (bytes === undefined) changed.delete(file);
      else changed.set(file, bytes);
    }
    const changedNames = changes.filter(([, bytes]) => bytes !== undefined).map(([file]) => file);
    harms.push({ name, files: changed, changed: changedNames });
  };
  for (const [name, bytes] of files) {
    add(`${name} deleted`, [[name, undefined]]);
    for (let i = 0; i < 6; i++) {
      const end = i === 0 ? 0 : Math.floor(random() * bytes.length);
      add(`${name} cut at ${end}`, [[name, bytes.slice(0, end)]]);
    }
    add(`${name} doubled`, [[name, new Uint8Array([...bytes, ...bytes])]]);
    if (/^\d/.test(name)) add(`${name} copied`, [[name.replace(/^\d+/, "00000077"), bytes]]);
    for (const other of names) {
      if (other > name) add(`${name} and ${other} swapped`, [[name, files.get(other)!], [other, bytes]]);
    }
  }
  return harms;
}

/** Opens a harmed directory, reads everything and checks all promises. */
function check(
  made: Made,
  harm: Harm,
  directory: string,
): { lost: number; reported: boolean; again: number } {
  store(directory, harm.files);
  const began = performance.now();
  const problems: string[] = [];
  const core = open(directory, problems);
  const { live, acknowledged } = made;
  let lost = 0;
  let again = 0;
  const adopted = new Set<string>();
  const guest = core.users.authenticate("guest", new TextEncoder().encode("guest"), true);
  assert.notEqual(guest, undefined, "guest can log in");
  const queues = new Map([...core.vhosts.get("/")!.queues.values()].map((queue) => [queue, read(queue)]));
  for (const [queue, found] of queues) {
    const known = live.get(queue.name);
    for (const [body, redelivered] of found) {
      const origins = known === undefined ? [...live.keys()] : [queue.name];
      adopted.add(body);
      if (origins.some((name) => live.get(name)!.includes(body))) continue;
      assert.ok(
        origins.some((name) => acknowledged.has(`${name}: ${body}`)),
        `"${body}" was never published`,
      );
      assert.ok(redelivered, `"${body}" was acknowledged, and came as new`);
      again++;
    }
  }
  for (const [name, bodies] of live) {
    const queue = [...queues].find(([queue]) => queue.name === name);
    lost += bodies.filter((body) => queue === undefined ? !adopted.has(body) : !queue[1].has(body)).length;
  }
  // A second start finds nothing else: what could be repaired is repaired.
  core.close();
  const second: string[] = [];
  const other = open(directory, second);
  const expected = /^The definitions of users are lost/;
  assert.deepEqual(second.filter((text) => !expected.test(text)), [], "the second start");
  // The damaged files survive the segments.
  for (const queue of other.vhosts.get("/")!.queues.values()) {
    read(queue);
    queue.purge();
  }
  other.cycle.begin();
  other.cycle.end();
  other.close();
  const took = performance.now() - began;
  assert.ok(took < CASE_DEADLINE, `it took ${took} ms`);
  const reported = problems.length > 0;
  if (lost > 0 || again > 0) {
    assert.ok(reported, `${lost} lost, ${again} delivered again, and nothing reported`);
  }
  if (lost > 0) {
    const left = [...load(directory).values()].map((bytes) => new TextDecoder("latin1").decode(bytes));
    for (const name of harm.changed.filter((name) => !/\.idx$|^manifest$/.test(name))) {
      const bytes = new TextDecoder("latin1").decode(harm.files.get(name)!);
      const log = /\.log$/.test(name);
      const kept = left.some((text) => text.startsWith(bytes));
      // A file that is only shorter holds nothing else.
      const whole = log &&
        new TextDecoder("latin1").decode(made.files.get(name) ?? new Uint8Array()).startsWith(bytes);
      assert.ok(kept || whole, `the damaged ${name} is destroyed`);
    }
  }
  return { lost, reported, again };
}

/** Syncs take most of the time, and no power failure is tested here. */
const real = { fsyncSync: fs.fsyncSync, fdatasyncSync: fs.fdatasyncSync };

describe("data directory, damaged", () => {
  before(() => void Object.assign(fs, { fsyncSync: () => {}, fdatasyncSync: () => {} }));
  after(() => void Object.assign(fs, real));
  console.log(`data directory: MQCAT_SEED=${SEED}`);
  for (const stopped of [true, false]) {
    const name = stopped ? "after a clean stop" : "after a kill";
    const kinds: [what: string, harms: (made: Made, random: () => number) => Harm[]][] = [
      ["each byte of each head flipped", headFlips],
      [`bytes flipped at ${PLACES} random places`, randomFlips],
      // After a crash nothing tells what there must be.
      ...(stopped
        ? [["files deleted, cut, doubled, copied and swapped", rearranged]] as [string, typeof rearranged][]
        : []),
    ];
    for (const [what, harms] of kinds) {
      it(`data directory ${name} - ${what}: no damaged body, nothing destroyed, every loss reported`, () => {
        using dir = tempDir();
        const random = seeded(SEED);
        const made = make(dir.file("made")).find((one) => one.stopped === stopped)!;
        const none = check(made, { name: "unharmed", files: made.files, changed: [] }, dir.file("data"));
        assert.deepEqual(none, { lost: 0, reported: false, again: 0 });
        const failures: string[] = [];
        const sums = { cases: 0, lossy: 0, lost: 0, again: 0 };
        for (const harm of harms(made, random)) {
          sums.cases++;
          try {
            const { lost, again } = check(made, harm, dir.file("data"));
            if (lost > 0) sums.lossy++;
            sums.lost += lost;
            sums.again += again;
          } catch (error) {
            failures.push(`${harm.name}: ${(error as Error).message.slice(0, 600)}`);
          }
        }
        console.log(`${name}, ${what}: ${JSON.stringify(sums)}`);
        assert.deepEqual(failures.slice(0, 5), [], `${failures.length} of ${sums.cases} cases`);
      });
    }
  }
});
