/** The time of whole processes that do little, compared with an empty program on the same runtime. */
import type { Lab } from "../lab.ts";
import { freePort, measured, Program } from "../processes.ts";
import type { Group, Measurement, Row, Side } from "../row.ts";

/** Runs in one measurement. */
const RUNS = 10;

/** The work that begins with the start of a program; resolves to its processes. */
type Work = (lab: Lab, command: readonly string[]) => Promise<{ ms: number; programs: Program[] }>;

const TABLE: readonly (readonly [name: string, title: string, target: number, work: Work])[] = [
  ["start-version", "--version", 0.5, toEnd("--version")],
  ["start-help", "push -h", 1 / 3, toEnd("push", "-h")],
  ["start-push", "push, until its first message is out", 1 / 3, firstMessage("pull", "push", "-D", "hello")],
  ["start-pull", "pull, until its first message is printed", 1 / 3, firstMessage("push", "pull", "-n", "1")],
];

export const start: Group = {
  name: "start",
  title: "start of a process",
  rows: TABLE.map(([name, title, target, work]): Row => ({
    name,
    title,
    unit: "ms",
    needs: ["libzmq"],
    targets: { "Deno": target, "Bun binary": target },
    sides: (lab) => Promise.resolve(againstEmptyPrograms(lab, (command) => work(lab, command))),
  })),
};

/** Returns sides that compare our programs with an empty program, each on its own runtime. */
export function againstEmptyPrograms(
  lab: Lab,
  work: (command: readonly string[]) => ReturnType<Work>,
): Side[] {
  const empty = lab.emptyPrograms();
  const peers = new Map(empty.map(({ name, command }): [string, Side] => [name, {
    name,
    measure: () => repeated(() => toEnd()(lab, command)),
  }]));
  return [
    ...peers.values(),
    ...lab.programs.map(({ name, command }, at) => ({
      name,
      against: empty[at]!.name,
      measure: () => repeated(() => work(command)),
    })),
  ];
}

/** The mean time of several runs, and their CPU time together. */
function repeated(work: () => ReturnType<Work>): Promise<Measurement> {
  return measured(async () => {
    let ms = 0;
    for (let i = 0; i < RUNS; i++) ms += (await work()).ms;
    return { value: ms / RUNS, programs: [] };
  });
}

/** The whole run of a program. */
function toEnd(...words: string[]): Work {
  return async (_lab, command) => {
    const began = performance.now();
    const program = new Program([...command, ...words]);
    await program.success();
    return { ms: performance.now() - began, programs: [program] };
  };
}

/** The time from the start of our program until one message has passed between it and a waiting peer. */
function firstMessage(peer: "push" | "pull", command: string, ...words: string[]): Work {
  return async (lab, program) => {
    const endpoint = `tcp://127.0.0.1:${await freePort()}`;
    const input = lab.lines(5, 1);
    const c = lab.peer("line_zmq");
    const waiting = peer === "pull"
      ? new Program([c, "pull", endpoint, "1"])
      : new Program([c, "push", `@${endpoint}`], { stdin: input });
    await waiting.says("ready");
    const began = performance.now();
    const own = new Program([...program, command, `>${endpoint}`, ...words], { collect: true });
    if (peer === "pull") await waiting.success();
    else await own.success();
    const ms = performance.now() - began;
    await Promise.all([own.success(), waiting.success()]);
    return { ms, programs: [own] };
  };
}
