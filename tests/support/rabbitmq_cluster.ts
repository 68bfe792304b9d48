/**
 * A cluster of three RabbitMQ nodes on loopback, with an epmd, a cookie and folders of its own, for tests that kill, stop, freeze
 * and restart its nodes.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { promisify } from "node:util";
import { type TempDir, tempDir, waitFor } from "./helpers.ts";
import { freePort } from "./ports.ts";

const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl";
/** The maximum time for a node to start, in milliseconds. */
const BOOT_MS = 120_000;
const NAMES = ["a", "b", "c"] as const;

/** The name of a node. */
export type NodeName = typeof NAMES[number];

/** The program of a process group. All of it ends with stdin, also when the tests are killed. */
const group = (command: string) => `${command} >>"$1" 2>&1 </dev/null & cat >/dev/null; kill -9 0`;

/** The ports of a node. */
interface Ports {
  readonly amqp: number;
  readonly http: number;
  readonly dist: number;
}

/** Three nodes. */
export class RabbitMqCluster implements AsyncDisposable {
  readonly #dir: TempDir = tempDir();
  readonly #epmdPort: number;
  readonly #ports: ReadonlyMap<NodeName, Ports>;
  readonly #groups = new Map<NodeName | "epmd", ChildProcess>();

  private constructor(epmdPort: number, ports: ReadonlyMap<NodeName, Ports>) {
    this.#epmdPort = epmdPort;
    this.#ports = ports;
  }

  /** Starts all nodes, and waits until they are one cluster. */
  static async start(): Promise<RabbitMqCluster> {
    const ports = new Map<NodeName, Ports>();
    for (const name of NAMES) {
      ports.set(name, { amqp: await freePort(), http: await freePort(), dist: await freePort() });
    }
    const cluster = new RabbitMqCluster(await freePort(), ports);
    try {
      await cluster.#boot();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The URL of a node. */
  url(name: NodeName): string {
    return `amqp://guest:guest@127.0.0.1:${this.#ports.get(name)!.amqp}`;
  }

  /** The URL of the HTTP API of a node. */
  http(name: NodeName): string {
    return `http://127.0.0.1:${this.#ports.get(name)!.http}`;
  }

  /** The URL of several nodes, in this order. Default: all nodes */
  urls(names: readonly NodeName[] = NAMES): string {
    return `amqp://guest:guest@${names.map((name) => `127.0.0.1:${this.#ports.get(name)!.amqp}`).join(",")}`;
  }

  /** Kills a node with SIGKILL. */
  async kill(name: NodeName): Promise<void> {
    await this.#end(name);
  }

  /** Ends a node with SIGTERM, and waits until it has stopped. */
  async stop(name: NodeName): Promise<void> {
    const pid = this.#pid(name);
    process.kill(pid, "SIGTERM");
    await waitFor(() => !fs.existsSync(`/proc/${pid}`), BOOT_MS, `node ${name} to stop`);
    await this.#end(name);
  }

  /** Freezes a node with SIGSTOP. */
  pause(name: NodeName): void {
    process.kill(this.#pid(name), "SIGSTOP");
  }

  /** Lets a frozen node continue. */
  resume(name: NodeName): void {
    process.kill(this.#pid(name), "SIGCONT");
  }

  /** Starts nodes again, with their data, and waits until they are members. */
  async restart(...names: NodeName[]): Promise<void> {
    for (const name of names) this.#startNode(name);
    const members = NAMES.filter((name) => this.#groups.has(name));
    for (const name of names) await this.isMember(name, members);
  }

  /** Starts the nodes that do not run, and lets frozen ones continue. */
  async mend(): Promise<void> {
    const running = NAMES.filter((name) => this.#groups.has(name));
    for (const name of running) this.resume(name);
    await this.restart(...NAMES.filter((name) => !this.#groups.has(name)));
  }

  /** Runs `rabbitmqctl` at a node. */
  async control(name: NodeName, ...args: string[]): Promise<void> {
    const env = { ...process.env, ...this.#environment(name), RABBITMQ_CTL_ERL_ARGS: "+S 1:1" };
    await promisify(execFile)(CONTROL, ["-q", "-n", this.#node(name), ...args], { env });
  }

  /** Sends a request to the HTTP API of a node. */
  async request(name: NodeName, method: string, path: string, body?: unknown): Promise<Response> {
    return await fetch(`${this.http(name)}/api/${path}`, {
      method,
      headers: { authorization: `Basic ${btoa("guest:guest")}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#groups.keys()].map((name) => this.#end(name)));
    this.#dir.remove();
  }

  async #boot(): Promise<void> {
    fs.writeFileSync(this.#dir.file(".erlang.cookie"), "MQCATTESTCOOKIE", { mode: 0o400 });
    fs.writeFileSync(this.#dir.file("enabled_plugins"), "[rabbitmq_management].\n");
    this.#startGroup("epmd", `epmd -port ${this.#epmdPort} -address 127.0.0.1`, {});
    for (const name of NAMES) this.#startNode(name);
    for (const name of NAMES) await this.isMember(name, NAMES);
  }

  #startNode(name: NodeName): void {
    const config = [
      `management.tcp.ip = 127.0.0.1`,
      `management.tcp.port = ${this.#ports.get(name)!.http}`,
      `disk_free_limit.absolute = 1MB`,
      `vm_memory_high_watermark.absolute = 400MB`,
      `net_ticktime = 8`,
      `cluster_formation.peer_discovery_backend = classic_config`,
      `cluster_formation.randomized_startup_delay_range.min = 0`,
      `cluster_formation.randomized_startup_delay_range.max = 1`,
      ...NAMES.map((member, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${this.#node(member)}`),
    ];
    fs.mkdirSync(this.#dir.file(name), { recursive: true });
    fs.writeFileSync(this.#dir.file(`${name}/rabbitmq.conf`), `${config.join("\n")}\n`);
    this.#startGroup(name, SERVER, this.#environment(name));
  }

  /** The variables of a node and of its tools. */
  #environment(name: NodeName): Record<string, string> {
    const { amqp, dist } = this.#ports.get(name)!;
    return {
      HOME: this.#dir.path,
      RABBITMQ_NODENAME: this.#node(name),
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(amqp),
      RABBITMQ_DIST_PORT: String(dist),
      RABBITMQ_MNESIA_BASE: this.#dir.file(`${name}/mnesia`),
      RABBITMQ_LOG_BASE: this.#dir.file(`${name}/log`),
      RABBITMQ_ENABLED_PLUGINS_FILE: this.#dir.file("enabled_plugins"),
      RABBITMQ_CONFIG_FILE: this.#dir.file(`${name}/rabbitmq.conf`),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +SDio 2",
      ERL_EPMD_PORT: String(this.#epmdPort),
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_PID_FILE: this.#dir.file(`${name}.pid`),
    };
  }

  #pid(name: NodeName): number {
    return Number(fs.readFileSync(this.#dir.file(`${name}.pid`), "utf8"));
  }

  #startGroup(name: NodeName | "epmd", command: string, env: Record<string, string>): void {
    const child = spawn("sh", ["-c", group(command), "sh", this.#dir.file(`${name}.out`)], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      env: { ...process.env, ERL_CRASH_DUMP: "/dev/null", ...env },
    });
    this.#groups.set(name, child);
  }

  async #end(name: NodeName | "epmd"): Promise<void> {
    const child = this.#groups.get(name);
    if (child === undefined) return;
    this.#groups.delete(name);
    const over = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.stdin!.end();
    await over;
  }

  /** Each test cluster has names of its own. */
  #node(name: NodeName): string {
    return `mqcat_${name}_${this.#epmdPort}@localhost`;
  }

  /** Waits until a node sees these members running. */
  async isMember(name: NodeName, members: readonly NodeName[] = NAMES): Promise<void> {
    try {
      await waitFor(
        async () => await this.#running(name) === members.length,
        BOOT_MS,
        `node ${name} to start`,
      );
    } catch (error) {
      const said = fs.readFileSync(this.#dir.file(`${name}.out`), "utf8").slice(-2000);
      throw new Error(`The cluster does not start: ${said}`, { cause: error });
    }
  }

  /** The number of running nodes that a node sees; undefined before it answers. */
  async #running(name: NodeName): Promise<number | undefined> {
    try {
      const nodes = await (await this.request(name, "GET", "nodes")).json();
      return Array.isArray(nodes) ? nodes.filter(({ running }) => running).length : undefined;
    } catch {
      return undefined;
    }
  }
}
