/**
 * Starts a RabbitMQ on loopback with free ports and temporary folders. A test file has it for itself, and leaves it to the next file
 * of the same run of `deno task test`, because a start takes 8 s: MQCAT_RABBITMQ_POOL is a folder with a file for each node that is
 * free, and with the pipe `alive`, whose end ends the nodes. MQCAT_AMQP_URL and MQCAT_AMQP_HTTP_URL name a
 * running RabbitMQ to use instead; MQCAT_STOMP_URL its STOMP plug-in.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import net from "node:net";
import process from "node:process";
import { requirePeer, type TempDir, tempDir, waitFor } from "./helpers.ts";
import { freePort } from "./ports.ts";
import type { TestBroker } from "./brokers.ts";

/** The path on Debian. The script on PATH would change the user. */
const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const PLUGINS = ["rabbitmq_management", "rabbitmq_mqtt", "rabbitmq_stomp", "rabbitmq_stream"];
/** The maximum start time, in milliseconds. */
const BOOT_MS = 50_000;

/** Whether RabbitMQ can be started. With `MQCAT_ORACLE=recorded` its recorded responses are used instead. */
export const isInstalled: boolean = process.env["MQCAT_ORACLE"] !== "recorded" && fs.existsSync(SERVER);

/** `it` for tests against RabbitMQ. */
export const test = requirePeer("rabbitmq-server", isInstalled);

/** A killed server starts again. All processes end when stdin ends, also when the tests are killed. */
const SCRIPT = `
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 >/dev/null 2>&1 &
(while :; do ${SERVER} >>"$1/out" 2>&1 </dev/null; sleep 0.2; done) &
cat >/dev/null
setsid sh -c 'sleep 1; rm -rf "$1"' sh "$1" >/dev/null 2>&1 &
sleep 0.1
kill -9 0`;

let running: Promise<RabbitMq> | undefined;

/** Returns the broker, which the first call starts. */
export function rabbitMq(): Promise<RabbitMq> {
  return running ??= RabbitMq.start();
}

/** Stops the broker; for `after`. */
export async function stopRabbitMq(): Promise<void> {
  const started = running;
  running = undefined;
  await (await started)?.stop();
}

/** Where a node listens. A running RabbitMQ that was named may be without the plug-ins. */
interface Endpoints {
  readonly port: number;
  readonly http: string;
  readonly stomp?: string | undefined;
  readonly mqtt?: string | undefined;
}

/** The folder of the nodes that are free. */
const pool = process.env["MQCAT_RABBITMQ_POOL"];

/** Takes a node that is free. @param pool the folder of the free nodes */
function taken(pool: string): Endpoints | undefined {
  for (const name of fs.readdirSync(pool).filter((name) => name.endsWith(".json"))) {
    try {
      const endpoints = JSON.parse(fs.readFileSync(`${pool}/${name}`, "utf8"));
      fs.unlinkSync(`${pool}/${name}`);
      return endpoints;
    } catch {
      // Another file has taken it.
    }
  }
  return undefined;
}

/** Lets others take a node. */
function giveBack(endpoints: Endpoints): void {
  const file = `${pool}/${endpoints.port}`;
  fs.writeFileSync(file, JSON.stringify(endpoints));
  fs.renameSync(file, `${file}.json`);
}

export class RabbitMq implements TestBroker {
  readonly url: string;
  readonly http: string;
  readonly port: number;
  /** The endpoint of the STOMP plug-in. */
  readonly stomp: string | undefined;
  /** The endpoint of the MQTT plug-in. */
  readonly mqtt: string | undefined;
  readonly stop: () => Promise<void>;

  private constructor(endpoints: Endpoints, stop: (broker: RabbitMq) => Promise<void>) {
    this.stomp = endpoints.stomp;
    this.mqtt = endpoints.mqtt;
    this.port = endpoints.port;
    this.url = `amqp://guest:guest@127.0.0.1:${endpoints.port}`;
    this.http = endpoints.http;
    this.stop = () => stop(this);
  }

  static async start(): Promise<RabbitMq> {
    const { MQCAT_AMQP_URL, MQCAT_AMQP_HTTP_URL, MQCAT_STOMP_URL } = process.env;
    if (MQCAT_AMQP_URL !== undefined && MQCAT_AMQP_HTTP_URL !== undefined) {
      const port = Number(new URL(MQCAT_AMQP_URL).port);
      return new RabbitMq({ port, http: MQCAT_AMQP_HTTP_URL, stomp: MQCAT_STOMP_URL }, async () => {});
    }
    if (pool === undefined) return await RabbitMq.#boot();
    const endpoints = taken(pool);
    if (endpoints !== undefined) return new RabbitMq(endpoints, RabbitMq.#return);
    // To open the pipe for reading only would wait for ever if the run was killed.
    const both = fs.openSync(`${pool}/alive`, "r+");
    const alive = fs.openSync(`${pool}/alive`, "r");
    fs.closeSync(both);
    return await RabbitMq.#boot(alive);
  }

  /** Makes a node of the pool as good as new, and gives it back. */
  static async #return(this: void, broker: RabbitMq): Promise<void> {
    await broker.#clear();
    giveBack(broker);
  }

  /** @param alive the pipe that ends with the run, for a node of the pool */
  static async #boot(alive?: number): Promise<RabbitMq> {
    const dir = tempDir();
    const [port, httpPort, distPort, epmdPort, stompPort, mqttPort, streamPort] = await Promise.all(
      Array.from({ length: 7 }, freePort),
    );
    fs.writeFileSync(dir.file("enabled_plugins"), `[${PLUGINS.join(",")}].\n`);
    const config = [
      `management.tcp.ip = 127.0.0.1`,
      `management.tcp.port = ${httpPort}`,
      `disk_free_limit.absolute = 1MB`,
      `stomp.listeners.tcp.1 = 127.0.0.1:${stompPort}`,
      `stream.listeners.tcp.1 = 127.0.0.1:${streamPort}`,
      `mqtt.listeners.tcp.1 = 127.0.0.1:${mqttPort}`,
      // As many unacknowledged messages as our broker sends.
      `mqtt.prefetch = 1024`,
      `mqtt.allow_anonymous = true`,
    ];
    fs.writeFileSync(dir.file("rabbitmq.conf"), `${config.join("\n")}\n`);
    // The pipe ends a node of the pool, which then removes its folder; what has the mark is killed before it can do that.
    const { MQCAT_TEST_RUN: _mark, ...environment } = process.env;
    const child = spawn("sh", ["-c", SCRIPT, "sh", dir.path], {
      detached: true,
      stdio: [alive ?? "pipe", "ignore", "ignore"],
      env: {
        ...environment,
        ERL_CRASH_DUMP: "/dev/null",
        HOME: dir.path,
        RABBITMQ_NODENAME: `mqcat${port}@localhost`,
        RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_DIST_PORT: String(distPort),
        RABBITMQ_MNESIA_BASE: dir.file("mnesia"),
        RABBITMQ_LOG_BASE: dir.file("log"),
        RABBITMQ_ENABLED_PLUGINS_FILE: dir.file("enabled_plugins"),
        RABBITMQ_CONFIG_FILE: dir.file("rabbitmq.conf"),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
        ERL_EPMD_PORT: String(epmdPort),
        ERL_EPMD_ADDRESS: "127.0.0.1",
      },
    });
    const endpoints = {
      port: port!,
      http: `http://127.0.0.1:${httpPort}`,
      stomp: `stomp://127.0.0.1:${stompPort}`,
      mqtt: `mqtt://127.0.0.1:${mqttPort}`,
    };
    const end = () => ended(child, dir);
    if (alive !== undefined) fs.closeSync(alive);
    const broker = new RabbitMq(endpoints, alive === undefined ? end : RabbitMq.#return);
    try {
      await waitFor(() => broker.#isUp(), BOOT_MS, "RabbitMQ to start");
    } catch (error) {
      const said = fs.readFileSync(dir.file("out"), "utf8").slice(-2000);
      await end();
      throw new Error(`Cannot start RabbitMQ: ${said}`, { cause: error });
    }
    // A node of the pool outlives this process. Another one must keep the event loop alive, for `ended` waits for its exit only.
    if (alive !== undefined) child.unref();
    return broker;
  }

  /** Deletes all that tests may have left, but for retained messages of MQTT. @throws {Error} it cannot */
  async #clear(): Promise<void> {
    const names = async (path: string): Promise<string[]> =>
      ((await (await this.api(path)).json()) as { name: string }[]).map(({ name }) => name);
    const remove = async (path: string, name: string) => {
      const answer = await this.api(`${path}/${encodeURIComponent(name)}`, "DELETE");
      await answer.body?.cancel();
      if (!answer.ok) throw new Error(`RabbitMQ does not delete ${path}/${name}: status ${answer.status}`);
    };
    for (const name of await names("/users")) if (name !== "guest") await remove("/users", name);
    // That closes its connections, too.
    for (const name of await names("/vhosts")) await remove("/vhosts", name);
    await waitFor(
      async () => (await names("/connections")).length === 0,
      BOOT_MS,
      "the end of all connections",
    );
    await this.addVhost("/");
  }

  /** Sends a request to the HTTP API. */
  async api(path: string, method = "GET", body?: unknown): Promise<Response> {
    return await fetch(`${this.http}/api${path}`, {
      method,
      headers: { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  readonly addVhost = async (name: string): Promise<void> => {
    await (await this.api(`/vhosts/${encodeURIComponent(name)}`, "PUT")).body?.cancel();
  };

  readonly addUser = async (name: string, password: string): Promise<void> => {
    await (await this.api(`/users/${name}`, "PUT", { password, tags: "" })).body?.cancel();
  };

  readonly dropConnections = async (): Promise<number> => {
    const connections: { name: string }[] = await (await this.api("/connections")).json();
    for (const { name } of connections) {
      await (await this.api(`/connections/${encodeURIComponent(name)}`, "DELETE")).body?.cancel();
    }
    return connections.length;
  };

  /** Kills the server (-9), and waits until it has started again. Its data directory stays. */
  async kill(): Promise<void> {
    // A node that has just started does not know its process id yet.
    const processId = async () => Number((await (await this.api("/nodes")).json())[0]?.os_pid) || undefined;
    const before = await waitFor(processId, BOOT_MS);
    process.kill(before!, "SIGKILL");
    await waitFor(
      async () => await this.#isUp() && (await processId().catch(() => before) ?? before) !== before,
      2 * BOOT_MS,
      "RabbitMQ to start again",
    );
  }

  async #isUp(): Promise<boolean> {
    try {
      const response = await this.api("/overview");
      await response.body?.cancel();
      if (!response.ok) return false;
      // The plug-ins start after each other.
      for (const url of [this.mqtt, this.stomp]) if (url !== undefined) await canConnect(url);
      return true;
    } catch {
      return false;
    }
  }
}

/** Ends a server and its folder. */
async function ended(child: ChildProcess, dir: TempDir): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const over = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    if (child.stdin === null) process.kill(-child.pid!, "SIGKILL");
    else child.stdin.end();
    await over;
  }
  dir.remove();
}

/** A TCP proxy that can cut its connections, or keep them open and drop the server's bytes. */
export class Proxy implements AsyncDisposable {
  readonly url: string;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #servers = new Set<net.Socket>();
  readonly #frozen = new Set<net.Socket>();
  /** The number of accepted connections. */
  connections = 0;
  #cutIn = Infinity;

  private constructor(server: net.Server, target: number) {
    this.#server = server;
    this.url = `amqp://guest:guest@127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    server.on("connection", (near) => {
      this.connections++;
      const far = net.connect(target, "127.0.0.1");
      this.#servers.add(far);
      this.#pass(near, far);
      this.#pass(far, near);
    });
  }

  static async to(target: number): Promise<Proxy> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Proxy(server, target);
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts all connections once, after the given number of further bytes in either direction. */
  cutAfter(bytes: number): void {
    this.#cutIn = bytes;
  }

  /** Drops all further bytes of the server on the current connections. New connections are not affected. */
  freeze(): void {
    for (const socket of this.#servers) this.#frozen.add(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #pass(from: net.Socket, to: net.Socket): void {
    this.#sockets.add(from);
    from.on("data", (chunk: Buffer) => {
      if (!this.#frozen.has(from) && !to.write(chunk)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
      this.#cutIn -= chunk.length;
      if (this.#cutIn > 0) return;
      this.#cutIn = Infinity;
      this.cut();
    });
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/** Connects to the port of a URL. @throws nothing listens there */
async function canConnect(url: string): Promise<void> {
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1");
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.destroy();
}
