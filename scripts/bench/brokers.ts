/** The brokers that the rows of the broker compare: processes that accept AMQP on a port. */
import fs from "node:fs";
import { waitFor } from "../../tests/support/helpers.ts";
import { RabbitMq } from "../../tests/support/rabbitmq.ts";
import type { Lab } from "./lab.ts";
import { cpuOf, measured, Program, residentMiB } from "./processes.ts";
import type { Measurement } from "./row.ts";

/** A running broker. */
export interface BrokerProcess {
  readonly port: number;
  readonly pid: number;
  /** The time from its start until it listens, in milliseconds. */
  readonly readyMs: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts `queue serve`. */
export async function serve(command: readonly string[], ...options: string[]): Promise<BrokerProcess> {
  const began = performance.now();
  const program = new Program([...command, "queue", "serve", "amqp://127.0.0.1:0", ...options]);
  const said = await program.says(/listening on amqp:\/\/127\.0\.0\.1:\d+/);
  const readyMs = performance.now() - began;
  const port = Number(/listening on amqp:\/\/127\.0\.0\.1:(\d+)/.exec(said)![1]);
  return { port, pid: program.child.pid!, readyMs, stop: (signal) => program.stop(signal) };
}

/**
 * Returns a broker of ours that runs until the end of the group. All rows with the same options and purpose share it.
 *
 * @param purpose distinguishes brokers with the same options, for rows that leave messages in the queue
 */
export function ownBroker(
  lab: Lab,
  command: readonly string[],
  options: readonly string[],
  purpose = "",
): Promise<BrokerProcess> {
  const name = `broker ${[...command, ...options, purpose].join(" ")}`;
  return lab.once(name, async () => {
    const folder = fs.mkdtempSync(lab.file("broker-"));
    const broker = await serve(command, ...options, "--data", folder);
    lab.atEnd(name, async () => {
      await broker.stop();
      fs.rmSync(folder, { recursive: true, force: true });
    });
    return broker;
  });
}

export function rabbitMq(lab: Lab): Promise<BrokerProcess> {
  return lab.once("RabbitMQ", async () => {
    const began = performance.now();
    const broker = await RabbitMq.start();
    const readyMs = performance.now() - began;
    lab.atEnd("RabbitMQ", () => broker.stop());
    return { port: broker.port, pid: await pidOf(broker), readyMs, stop: () => broker.stop() };
  });
}

/** The process id of RabbitMQ, which its HTTP API reports some seconds after the start. */
async function pidOf(broker: RabbitMq): Promise<number> {
  let pid = NaN;
  await waitFor(
    async () => {
      const [node] = await (await broker.api("/nodes")).json();
      pid = Number(node?.os_pid);
      return pid > 0;
    },
    60_000,
    "RabbitMQ to report its process id",
  );
  return pid;
}

/** The report of one run of the load. */
interface LoadReport {
  readonly messages: number;
  readonly refused: number;
  readonly seconds: number;
}

/**
 * Runs loads on a broker at the same time.
 *
 * @param loads the mode and the options of each: `["publish", "-c", "2"]`
 * @returns the time of the longest one, in seconds
 */
export async function load(
  lab: Lab,
  { port }: BrokerProcess,
  count: number,
  ...loads: readonly (readonly string[])[]
): Promise<number> {
  const programs = loads.map(([mode, ...options]) =>
    new Program([lab.peer("load_amqp"), mode!, `${port}`, "bench", `${count}`, ...options], { collect: true })
  );
  await Promise.all(programs.map((program) => program.success()));
  const reports = programs.map(({ output }) => JSON.parse(output) as LoadReport);
  const refused = reports.reduce((sum, report) => sum + report.refused, 0);
  if (refused > 0) throw new Error(`The broker refused ${refused} messages`);
  return Math.max(...reports.map(({ seconds }) => seconds));
}

/** Deletes the queue of the load, or with `-f` its queues. */
export async function clear(lab: Lab, { port }: BrokerProcess, ...options: string[]): Promise<void> {
  await new Program([lab.peer("load_amqp"), "delete", `${port}`, "bench", ...options]).success();
}

/** Measures work on a broker: its value, the CPU time of the broker and of the load, and the memory of the broker. */
export async function measureBroker(
  broker: BrokerProcess,
  work: () => Promise<number>,
): Promise<Measurement> {
  const before = cpuOf(broker.pid);
  const { value, cpu } = await measured(async () => ({ value: await work(), programs: [] }));
  return { value, cpu: (cpu ?? 0) + cpuOf(broker.pid) - before, memory: residentMiB(broker.pid) };
}
