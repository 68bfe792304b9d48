/** The programs that the benchmark compares with, and how to install a missing one. */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { isInstalled as hasRabbitMq } from "../../tests/support/rabbitmq.ts";

const PEERS = {
  libzmq: { isThere: () => has("gcc") && hasHeader("zmq.h"), remedy: "gcc and libzmq3-dev" },
  mosquitto: { isThere: () => has("gcc") && has("mosquitto"), remedy: "gcc and mosquitto" },
  gcc: { isThere: () => has("gcc"), remedy: "gcc" },
  rabbitmq: {
    isThere: () => hasRabbitMq && has("gcc") && hasHeader("amqp.h"),
    remedy: "rabbitmq-server, gcc and librabbitmq-dev",
  },
  librabbitmq: { isThere: () => has("gcc") && hasHeader("amqp.h"), remedy: "gcc and librabbitmq-dev" },
  pyzmq: { isThere: () => has("/usr/bin/python3") && imports("zmq"), remedy: "python3-zmq" },
  "zeromq.js": { isThere: () => has("node") && has("npm"), remedy: "nodejs and npm" },
  socat: { isThere: () => has("socat"), remedy: "socat" },
} as const;

export type Peer = keyof typeof PEERS;

/** What to install for a row, in Debian's names; undefined when nothing is missing. */
export function missing(needs: readonly Peer[]): string | undefined {
  const absent = needs.filter((name) => !PEERS[name].isThere()).map((name) => PEERS[name].remedy);
  return absent.length === 0 ? undefined : absent.join(", ");
}

function has(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function imports(module: string): boolean {
  return spawnSync("/usr/bin/python3", ["-c", `import ${module}`], { stdio: "ignore" }).status === 0;
}

function hasHeader(name: string): boolean {
  return fs.existsSync(`/usr/include/${name}`);
}
