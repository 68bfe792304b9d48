/** Runs all commands at all types of queues while one fault happens. */
import { waitFor } from "../../support/helpers.ts";
import type { RabbitMqCluster } from "../../support/rabbitmq_cluster.ts";
import type { Auditor, Kind, QueueType } from "./auditor.ts";
import { Cell } from "./cell.ts";
import type { CommandName } from "./commands.ts";
import type { Fault } from "./faults.ts";

const TYPES: readonly QueueType[] = ["classic", "mirrored", "quorum", "stream"];
/** Commands for queues, for streams, and for exchanges. */
type Commands = Record<"queue" | "stream" | "exchange", readonly CommandName[]>;
/** The commands that work when the fault happens. They have no limit. */
const WORKING: Commands = {
  queue: ["put", "get", "exec", "move", "redrive", "req"],
  stream: ["put", "read"],
  exchange: ["sub"],
};
/** The commands that start during the fault. */
const LATE: Commands = {
  queue: ["put", "get", "move", "redrive", "peek", "req"],
  stream: ["put"],
  exchange: [],
};
/** The `-w` of the commands that start during the fault, in seconds. */
const LIMIT = 3;
/** The maximum time for a cluster to be whole again, in milliseconds. */
const HEAL_MS = 60_000;
/** The number of cells that are prepared or checked at a time. */
const WIDTH = 8;

/** Runs the cells of one fault; `attempt` collects their failures. */
class Round implements Disposable {
  readonly working: readonly Cell[];
  readonly late: readonly Cell[];
  readonly all: readonly Cell[];
  readonly failures: Error[] = [];

  constructor(fault: Fault, cluster: RabbitMqCluster, auditor: Auditor) {
    const options = { round: fault.name, url: cluster.urls(fault.via) };
    const cells = (commands: Commands, limit?: number) =>
      ([...TYPES, "exchange"] as const).flatMap((type: Kind) =>
        commands[type === "stream" || type === "exchange" ? type : "queue"].map((command) =>
          new Cell(auditor, { ...options, command, type, limit })
        )
      );
    this.working = cells(WORKING);
    this.late = cells(LATE, LIMIT);
    this.all = [...this.working, ...this.late];
  }

  /** Does something with some of the cells at a time. */
  async attempt(cells: readonly Cell[], what: (cell: Cell) => Promise<void>): Promise<void> {
    const left = cells.filter(({ failed }) => !failed);
    const lane = async () => {
      for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
        try {
          await what(cell);
        } catch (error) {
          cell.failed = true;
          this.failures.push(new Error(`${cell.name}: ${(error as Error).message}`));
        }
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, lane));
  }

  [Symbol.dispose](): void {
    for (const cell of this.all) cell[Symbol.dispose]();
  }
}

/**
 * Injects a fault while all commands work.
 *
 * @returns a line with the totals
 * @throws {AggregateError} the failures of the cells, with their names
 */
export async function inject(fault: Fault, cluster: RabbitMqCluster, auditor: Auditor): Promise<string> {
  using round = new Round(fault, cluster, auditor);
  const { working, late, all, failures } = round;
  const queues = all.flatMap((cell) => cell.queues);
  await fault.prepare?.(cluster);
  for (const type of TYPES) {
    await auditor.declare(all.filter((cell) => cell.type === type).flatMap((cell) => cell.queues), type, "b");
  }
  await round.attempt(all, (cell) => cell.prepare());
  await round.attempt(working, (cell) => cell.start());
  const struck = fault.strike(cluster, auditor, queues);
  // Queues are deleted one after the other: no command must end before.
  if (fault.heal === undefined) await struck;
  for (const cell of working) cell.proceed();
  await struck;
  await round.attempt(late, (cell) => cell.start());
  await round.attempt(late, (cell) => cell.endInTime());
  if (fault.heal !== undefined) {
    await fault.heal(cluster);
    await waitFor(() => auditor.areBack(queues), HEAL_MS, "all queues to be back");
  }
  let duplicated = 0;
  await round.attempt(all, async (cell) => {
    const isDeleted = fault.heal === undefined && cell.type !== "exchange";
    const counts = isDeleted ? await cell.finishDeleted() : await cell.finish();
    duplicated += counts.duplicated;
  });
  if (fault.heal !== undefined) await auditor.delete(queues);
  if (failures.length > 0) {
    throw new AggregateError(
      failures,
      failures.map(({ message }) => message).join("\n\n"),
    );
  }
  const early = working.filter(({ wasEarly }) => wasEarly).map(({ name }) => name);
  const names = early.length === 0 ? "" : ` (${early.join(", ")})`;
  return `${fault.name}: ${all.length} cells, 0 lost, 0 unaccounted, ${duplicated} duplicated; ` +
    `${early.length} commands ended before the fault${names}`;
}
