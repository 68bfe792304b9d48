/** One publisher and many subscribers. The time begins when all have subscribed. */
import type { Lab } from "../lab.ts";
import { freePort, measured, Program } from "../processes.ts";
import { compare, type Group, type Measurement, type Row } from "../row.ts";

const SIZE = 63;

/** Returns the commands of the subscribers. */
type Subscribers = (lab: Lab, sub: readonly string[], port: number, count: number) => readonly string[][];

/** Each side has subscribers of its own program, each in a process. */
function processes(subscribers: number): Subscribers {
  return (_lab, sub, port, count) =>
    Array.from({ length: subscribers }, () => [
      ...sub.map((word) =>
        word === "ENDPOINT" ? `tcp://127.0.0.1:${port}` : word === "COUNT" ? `${count}` : word
      ),
    ]);
}

/** Both sides have the same process in C that reads and discards: the row measures the publisher. */
function drained(subscribers: number): Subscribers {
  return (lab, _sub, port, count) => [
    [lab.peer("drain_zmq"), `${port}`, `${subscribers}`, `${count}`, `${SIZE}`],
  ];
}

function fan(name: string, title: string, many: number, full: number, subscribers: Subscribers): Row {
  return {
    name,
    title,
    unit: "msgs/s",
    needs: ["libzmq"],
    targets: { "Deno": 1.2, "Bun binary": 1.2 },
    sides(lab) {
      const count = lab.scaled(full);
      const input = lab.lines(SIZE, count);
      const run = (pub: readonly string[], subs: readonly string[][]): Promise<Measurement> =>
        measured(async () => {
          const publisher = new Program(pub, { stdin: input });
          const readers = subs.map((command) => new Program(command));
          await publisher.says("subscribed", many);
          const began = performance.now();
          await Promise.all([publisher, ...readers].map((program) => program.success()));
          const seconds = (performance.now() - began) / 1000;
          return { value: count * many / seconds, programs: [publisher, ...readers] };
        });
      const c = lab.peer("line_zmq");
      return Promise.resolve(compare(lab, {
        name: "C on libzmq",
        async measure() {
          const port = await freePort();
          const subs = subscribers(lab, [c, "sub", "ENDPOINT", "COUNT"], port, count);
          return await run([c, "pub", `tcp://127.0.0.1:${port}`, String(many)], subs);
        },
      }, async (command) => {
        const port = await freePort();
        const subs = subscribers(lab, [...command, "sub", "ENDPOINT", "-n", "COUNT"], port, count);
        const words = ["--wait-peers", String(many), "--on-full", "block", "-v"];
        return await run([...command, "pub", `tcp://127.0.0.1:${port}`, ...words], subs);
      }));
    },
  };
}

export const fanOut: Group = {
  name: "fan-out",
  title: "pub to many subscribers, messages delivered",
  rows: [
    fan("pub-8", "63 B lines to 8 processes", 8, 500_000, processes(8)),
    fan("pub-8-drained", "63 B lines to 8 connections of a process in C", 8, 1_000_000, drained(8)),
    fan("pub-64", "63 B lines to 64 connections of a process in C", 64, 200_000, drained(64)),
  ],
};
