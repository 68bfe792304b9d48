/** `queue serve` and RabbitMQ under the same load, which is made by a program in C on librabbitmq. */
import fs from "node:fs";
import { type BrokerProcess, clear, load, measureBroker, ownBroker, rabbitMq, serve } from "../brokers.ts";
import type { Lab } from "../lab.ts";
import { residentMiB } from "../processes.ts";
import { compare, type Group, type Measurement, type Row } from "../row.ts";
import { againstEmptyPrograms } from "./start.ts";

/** Messages of a row that has RabbitMQ as its peer. */
const COUNT = 100_000;
/** Messages of a measurement at a depth: enough for about a second. */
const DEPTH_COUNT = 500_000;
const TEN_MILLION = 10_000_000;
/** `flush` gives the guarantee of RabbitMQ's classic queues; `confirm` syncs the disk before each confirm. */
const FLUSH = ["--sync", "flush"];
const CONFIRM = ["--sync", "confirm"];
const TARGETS = { "Deno": 10, "Bun binary": 15 };

/** The loads of a row: `before` fills the queue, `measured` run at the same time, `after` empties the queue. */
interface Load {
  readonly name: string;
  readonly title: string;
  readonly before?: readonly string[];
  readonly measured: readonly (readonly string[])[];
  readonly after?: readonly string[];
  /** The number of queues that a fan-out fills, and that are deleted afterwards. */
  readonly fan?: number;
  readonly sync?: readonly string[];
  /** Messages of a round. Default: 100,000 */
  readonly count?: number;
}

const PUBLISH = ["publish"];
const CONSUME = ["consume"];

const LOADS: readonly Load[] = [
  {
    name: "publish",
    title: "publish persistent messages with confirms",
    measured: [PUBLISH],
    after: CONSUME,
  },
  {
    name: "publish-sync",
    title: "the same, synced to the disk before each confirm (RabbitMQ: not synced)",
    measured: [PUBLISH],
    after: CONSUME,
    sync: CONFIRM,
  },
  {
    name: "publish-transient",
    title: "publish transient messages with confirms",
    measured: [["publish", "-t"]],
    after: CONSUME,
  },
  {
    name: "publish-2",
    title: "publish over 2 connections",
    measured: [["publish", "-c", "2"]],
    after: CONSUME,
  },
  { name: "consume", title: "consume, an acknowledgement for 100", before: PUBLISH, measured: [CONSUME] },
  {
    name: "consume-single",
    title: "consume, an acknowledgement for each",
    before: PUBLISH,
    measured: [["consume", "-k", "1"]],
  },
  { name: "both", title: "publish and consume at the same time", measured: [PUBLISH, CONSUME] },
  {
    name: "both-16",
    title: "16 publishers and 16 consumers at the same time",
    measured: [["publish", "-c", "16"], ["consume", "-c", "16"]],
  },
  {
    name: "fan-10",
    title: "publish to 10 queues of a fanout",
    measured: [["publish", "-f", "10"]],
    fan: 10,
    count: COUNT / 5,
  },
];

function loadRow(
  { name, title, before, measured, after, fan, sync = FLUSH, count: full = COUNT }: Load,
): Row {
  const loads = measured.map(([mode]) => mode).join(" and ");
  return {
    name: `broker-${name}`,
    title: `${title}, 100 B`,
    unit: "msgs/s",
    needs: ["rabbitmq"],
    targets: TARGETS,
    sides(lab) {
      const count = lab.scaled(full);
      const run = async (broker: BrokerProcess) => {
        if (before !== undefined) await load(lab, broker, count, before);
        const result = await measureBroker(
          broker,
          async () => count / await load(lab, broker, count, ...measured),
        );
        if (after !== undefined) await load(lab, broker, count, after);
        if (fan !== undefined) await clear(lab, broker, "-f", String(fan));
        return result;
      };
      return Promise.resolve(compare(lab, {
        name: `RabbitMQ, ${loads}`,
        measure: async () => run(await rabbitMq(lab)),
      }, async (command) => run(await ownBroker(lab, command, sync))));
    },
  };
}

/** The rates of a queue that holds messages, compared with an empty queue of the same program. */
function depthRow(name: string, title: string, depth: number): Row {
  return {
    name: `broker-depth-${name}`,
    title: `publish and consume with ${title} messages in the queue`,
    unit: "msgs/s",
    needs: ["librabbitmq"],
    targets: { "Deno": 0.8, "Bun binary": 0.8 },
    async sides(lab) {
      const count = lab.scaled(DEPTH_COUNT);
      const sides = [];
      for (const { name, command } of lab.programs) {
        const empty = await ownBroker(lab, command, FLUSH);
        const full = await filled(lab, command, lab.scaled(depth));
        const measure = (broker: BrokerProcess) => () =>
          measureBroker(broker, async () => {
            const published = await load(lab, broker, count, PUBLISH);
            return count / (published + await load(lab, broker, count, CONSUME));
          });
        // A broker is slower right after its start, at any depth.
        for (const broker of [empty, full]) await measure(broker)();
        sides.push({ name: `empty queue, ${name}`, measure: measure(empty) });
        sides.push({ name, against: `empty queue, ${name}`, measure: measure(full) });
      }
      return sides;
    },
  };
}

/** A broker with at least `depth` messages; deeper rows continue with the same one. */
async function filled(lab: Lab, command: readonly string[], depth: number): Promise<BrokerProcess> {
  const broker = await ownBroker(lab, command, FLUSH, "depth");
  const depths = lab.once(`depths ${broker.pid}`, () => ({ now: 0 }));
  if (depth > depths.now) await load(lab, broker, depth - depths.now, PUBLISH);
  depths.now = Math.max(depth, depths.now);
  return broker;
}

const startRows: readonly Row[] = [
  {
    name: "broker-start",
    title: "queue serve, from its start until it listens",
    unit: "ms",
    needs: [],
    sides: (lab) =>
      Promise.resolve(againstEmptyPrograms(lab, async (command) => {
        const broker = await serve(command, "--memory");
        await broker.stop();
        return { ms: broker.readyMs, programs: [] };
      })),
  },
  {
    name: "broker-start-10m",
    title: "the same with ten million messages, after a clean stop and after kill -9 in turns",
    unit: "ms",
    needs: ["librabbitmq"],
    async sides(lab) {
      const sides = [];
      for (const { name, command } of lab.programs) {
        const folder = fs.mkdtempSync(lab.file("many-"));
        const options = [...FLUSH, "--data", folder];
        const first = await serve(command, ...options);
        await load(lab, first, lab.scaled(TEN_MILLION), PUBLISH);
        await first.stop();
        lab.atEnd(folder, () => Promise.resolve(fs.rmSync(folder, { recursive: true })));
        let round = 0;
        const start = async (signal: NodeJS.Signals, ...options: string[]): Promise<Measurement> => {
          const broker = await serve(command, ...options);
          const memory = residentMiB(broker.pid);
          await broker.stop(signal);
          return { value: broker.readyMs, memory };
        };
        sides.push({ name: `no messages, ${name}`, measure: () => start("SIGTERM", "--memory") });
        sides.push({
          name,
          against: `no messages, ${name}`,
          measure: () => start(round++ % 2 === 0 ? "SIGKILL" : "SIGTERM", ...options),
        });
      }
      return sides;
    },
  },
];

const memoryRow: Row = {
  name: "broker-memory",
  title: "resident memory with 500,000 messages of 100 B in the queue",
  unit: "MiB",
  needs: ["rabbitmq"],
  sides(lab) {
    const count = lab.scaled(500_000);
    const run = async (broker: BrokerProcess): Promise<Measurement> => {
      await load(lab, broker, count, PUBLISH);
      const memory = residentMiB(broker.pid);
      await clear(lab, broker);
      return { value: memory };
    };
    return Promise.resolve(compare(lab, {
      name: "RabbitMQ",
      measure: async () => run(await rabbitMq(lab)),
    }, async (command) => run(await ownBroker(lab, command, FLUSH))));
  },
};

export const broker: Group = {
  name: "broker",
  title: "queue serve, compared with RabbitMQ or with itself",
  rows: [
    ...LOADS.map(loadRow),
    memoryRow,
    depthRow("100k", "100,000", 100_000),
    depthRow("1m", "one million", 1_000_000),
    depthRow("5m", "five million", 5_000_000),
    ...startRows,
  ],
};
