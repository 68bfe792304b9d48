/** The brokers that the rows of the broker compare: processes that accept AMQP on a port. */
import fs from "node:fs";
import { waitFor } from "../../tests/support/helpers.ts";
import { RabbitMq } from "../../tests/support/rabbitmq.ts";
import type { Lab } from "./lab.ts";
import { cpuOf, freePort, measured, Program, residentMiB } from "./processes.ts";
import type { Measurement } from "./row.ts";

/** A running broker. */
export interface BrokerProcess {
  readonly port: number;
  readonly pid: number;
  /** The time from its start until it listens, in milliseconds. */
  readonly readyMs: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts `queue serve` for AMQP. */
export function serve(command: readonly string[], ...options: string[]): Promise<BrokerProcess> {
  return serveProtocol(command, "amqp", options);
}

/** Starts `queue serve` for one protocol. */
async function serveProtocol(
  command: readonly string[],
  scheme: "amqp" | "mqtt",
  options: readonly string[],
): Promise<BrokerProcess> {
  const began = performance.now();
  const program = new Program([...command, "queue", "serve", `${scheme}://127.0.0.1:0`, ...options], {
    stays: true,
  });
  const listening = new RegExp(`listening on ${scheme}://127\\.0\\.0\\.1:(\\d+)`);
  const port = Number(listening.exec(await program.says(listening))![1]);
  const readyMs = performance.now() - began;
  return { port, pid: program.child.pid!, readyMs, stop: (signal) => program.stop(signal) };
}

/**
 * Returns a broker of ours that runs until the end of the group. All rows with the same options and purpose share it.
 *
 * @param options with `--memory`, or with a folder for the data
 * @param purpose distinguishes brokers with the same options, for rows that leave messages in the queue
 */
export function ownBroker(
  lab: Lab,
  command: readonly string[],
  options: readonly string[],
  purpose = "",
  scheme: "amqp" | "mqtt" = "amqp",
): Promise<BrokerProcess> {
  const name = `broker ${[...command, scheme, ...options, purpose].join(" ")}`;
  return lab.once(name, async () => {
    const folder = fs.mkdtempSync(lab.file("broker-"));
    const data = options.includes("--memory") ? [] : ["--data", folder];
    const broker = await serveProtocol(command, scheme, [...options, ...data]);
    lab.atEnd(name, async () => {
      await broker.stop();
      fs.rmSync(folder, { recursive: true, force: true });
    });
    return broker;
  });
}

/** RabbitMQ, until the end of the group: the port of AMQP, or that of its MQTT plug-in. */
export function rabbitMq(lab: Lab, scheme: "amqp" | "mqtt" = "amqp"): Promise<BrokerProcess> {
  return lab.once("RabbitMQ", async () => {
    const began = performance.now();
    const broker = await RabbitMq.start();
    const readyMs = performance.now() - began;
    lab.atEnd("RabbitMQ", () => broker.stop());
    const port = scheme === "mqtt" ? Number(new URL(broker.mqtt!).port) : broker.port;
    return { port, pid: await pidOf(broker), readyMs, stop: () => broker.stop() };
  });
}

/** mosquitto without persistence and without a limit of waiting messages, until the end of the group. */
export function mosquitto(lab: Lab): Promise<BrokerProcess> {
  return lab.once("mosquitto", async (): Promise<BrokerProcess> => {
    const began = performance.now();
    const port = await freePort();
    const config = lab.file("mosquitto.conf");
    const lines = ["allow_anonymous true", "max_inflight_messages 0", "max_queued_messages 0"];
    fs.writeFileSync(config, [`listener ${port} 127.0.0.1`, ...lines, ""].join("\n"));
    const program = new Program(["mosquitto", "-c", config], { stays: true });
    await program.says(/mosquitto version \S+ running/);
    const readyMs = performance.now() - began;
    lab.atEnd("mosquitto", () => program.stop());
    return { port, pid: program.child.pid!, readyMs, stop: (signal) => program.stop(signal) };
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
