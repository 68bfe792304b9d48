/** Lines from a file through PUSH to PULL. The time begins with the start of the sender and ends with the receiver. */
import type { Lab, ServerKeys } from "../lab.ts";
import { freePort, measured, Program } from "../processes.ts";
import { compare, type Group, type Measurement, type Row } from "../row.ts";

interface Pipeline {
  readonly name: string;
  readonly title: string;
  /** Bytes of a message. */
  readonly size: number;
  readonly count: number;
  /** Default: tcp for both. */
  readonly transport?: "ipc" | "ws";
  readonly curve?: boolean;
  /** The least ratio on both runtimes. */
  readonly target: number;
}

const PIPELINES: readonly Pipeline[] = [
  { name: "push-pull-16", title: "16 B lines", size: 16, count: 8_000_000, target: 1.5 },
  { name: "push-pull-63", title: "63 B lines", size: 63, count: 5_000_000, target: 1.5 },
  { name: "push-pull-1k", title: "1 KiB lines", size: 1023, count: 1_000_000, target: 1.2 },
  { name: "push-pull-64k", title: "64 KiB lines", size: 65_535, count: 16_000, target: 0.9 },
  { name: "push-pull-1m", title: "1 MiB lines", size: 2 ** 20 - 1, count: 1000, target: 0.9 },
  { name: "ipc-63", title: "63 B lines over ipc", size: 63, count: 5_000_000, transport: "ipc", target: 1.3 },
  {
    name: "ws-63",
    title: "63 B lines over a WebSocket, C over tcp",
    size: 63,
    count: 3_000_000,
    transport: "ws",
    target: 0.8,
  },
  { name: "curve-63", title: "63 B lines with CURVE", size: 63, count: 2_000_000, curve: true, target: 1 },
  { name: "curve-1k", title: "1 KiB lines with CURVE", size: 1023, count: 500_000, curve: true, target: 0.7 },
];

export const pipelines: Group = {
  name: "pipelines",
  title: "push to pull, whole processes, start included",
  rows: PIPELINES.map(pipeline),
};

/** The commands of one run, and what the receiver prints when it is bound. */
interface Commands {
  readonly pull: readonly string[];
  readonly push: readonly string[];
  readonly ready: string;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

function pipeline({ name, title, size, count: full, transport, curve, target }: Pipeline): Row {
  return {
    name,
    title,
    unit: size < 4096 ? "msgs/s" : "MB/s",
    needs: ["libzmq"],
    targets: { "Deno": target, "Bun binary": target },
    async sides(lab) {
      const count = lab.scaled(full);
      const input = lab.lines(size, count);
      const keys = curve ? await lab.keys() : undefined;
      const perSecond = size < 4096 ? count : count * size / 1e6;
      const measure = (commands: Commands) => transfer(commands, input, perSecond);
      const c = lab.peer("line_zmq");
      return compare(lab, {
        name: "C on libzmq",
        async measure() {
          const endpoint = await endpointOf(lab, transport === "ws" ? undefined : transport);
          const env = keys && { LINE_ZMQ_PUBLIC: keys.publicKey, LINE_ZMQ_SECRET: keys.secretKey };
          const pull = [c, "pull", endpoint, String(count)];
          return await measure({ pull, push: [c, "push", endpoint], ready: "ready", env });
        },
      }, async (command) => measure(ours(command, await endpointOf(lab, transport), count, keys)));
    },
  };
}

function ours(
  command: readonly string[],
  endpoint: string,
  count: number,
  keys: ServerKeys | undefined,
): Commands {
  const server = keys === undefined ? [] : ["--curve-server", "--curve-key", keys.path];
  const client = keys === undefined ? [] : ["--curve-server-key", keys.publicKey];
  return {
    pull: [...command, "pull", endpoint, "-n", String(count), ...server],
    push: [...command, "push", endpoint, ...client],
    ready: "listening on",
  };
}

/** @param amount what is transferred, in the unit of the row and without its time */
function transfer({ pull, push, ready, env }: Commands, input: string, amount: number): Promise<Measurement> {
  return measured(async () => {
    const receiver = new Program(pull, { env });
    await receiver.says(ready);
    const began = performance.now();
    const sender = new Program(push, { stdin: input, env });
    await Promise.all([sender.success(), receiver.success()]);
    const seconds = (performance.now() - began) / 1000;
    return { value: amount / seconds, programs: [sender, receiver] };
  });
}

async function endpointOf(lab: Lab, transport: Pipeline["transport"]): Promise<string> {
  if (transport === "ipc") return `ipc://${lab.file("socket")}`;
  return `${transport ?? "tcp"}://127.0.0.1:${await freePort()}${transport === "ws" ? "/" : ""}`;
}
