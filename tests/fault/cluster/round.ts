/** Runs all commands at all types of queues while one fault happens. */
import { waitFor } from "../../support/helpers.ts";
import type { RabbitMqCluster } from "../../support/rabbitmq_cluster.ts";
import type { Auditor, QueueType } from "./auditor.ts";
import { Cell, type Counts } from "./cell.ts";
import type { CommandName } from "./commands.ts";
import type { Fault } from "./faults.ts";

const TYPES: readonly QueueType[] = ["classic", "mirrored", "quorum", "stream"];
/** The commands that work when the fault happens. They have no limit. */
const WORKING: readonly CommandName[] = ["put", "get", "exec", "move", "redrive", "req"];
/** The commands that start during the fault. */
const LATE: readonly CommandName[] = ["put", "get", "move", "redrive", "peek"];
/** The `-w` of the commands that start during the fault, in seconds. */
const LIMIT = 3;
/** The maximum time for a cluster to be whole again, in milliseconds. */
const HEAL_MS = 60_000;
/** The number of cells that are prepared or checked at a time. */
const WIDTH = 8;

/** @throws {AggregateError} the cells that failed, with their names */
export async function run(fault: Fault, cluster: RabbitMqCluster, auditor: Auditor): Promise<Counts & { cells: number }> {
  const options = { round: fault.name, url: cluster.urls(fault.via) };
  const cells = (commands: readonly CommandName[], limit?: number) =>
    TYPES.flatMap((type) => {
      const possible = type !== "stream" ? commands : limit === undefined ? ["put", "read"] as const : ["put"] as const;
      return possible.map((command) => new Cell(auditor, { ...options, command, type, limit }));
    });
  const working = cells(WORKING);
  const late = cells(LATE, LIMIT);
  const all = [...working, ...late];
  const failures: Error[] = [];
  const attempt = async (cells: readonly Cell[], what: (cell: Cell) => Promise<void>) => {
    const left = [...cells];
    const lane = async () => {
      for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
        const { name } = cell;
        await what(cell).catch((error) => failures.push(new Error(`${fault.name}, ${name}: ${error.message}`)));
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, lane));
  };
  const T0 = performance.now();
  const T = (w: string) => console.log(fault.name, w, Math.round(performance.now() - T0));
  const total = { cells: all.length, lost: 0, duplicated: 0, unaccounted: 0 };
  try {
    await fault.prepare?.(cluster);
    for (const type of TYPES) {
      await auditor.declare(all.filter((cell) => cell.type === type).flatMap(({ queues }) => queues), type, "b");
    }
    await attempt(all, (cell) => cell.prepare());
    T("prepared");
    await attempt(working, (cell) => cell.start());
    T("started");
    const struck = fault.strike(cluster);
    for (const cell of working) cell.proceed();
    await struck;
    T("struck");
    await attempt(late, (cell) => cell.start());
    await attempt(late, (cell) => cell.endInTime());
    T("late ended");
    await fault.heal(cluster);
    const queues = all.flatMap(({ queues }) => queues);
    await waitFor(() => auditor.areBack(queues), HEAL_MS, "all queues to be back");
    T("healed");
    const count = (codes: readonly number[]) => async (cell: Cell) => {
      const { lost, duplicated, unaccounted } = await cell.finish(codes);
      total.lost += lost;
      total.duplicated += duplicated;
      total.unaccounted += unaccounted;
    };
    await attempt(working, count([0]));
    await attempt(late, count([0, 3, 4, 5]));
    T("finished");
    await auditor.delete(queues);
    T("deleted");
  } finally {
    for (const cell of all) cell[Symbol.dispose]();
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(({ message }) => message).join("\n\n"));
  return total;
}
