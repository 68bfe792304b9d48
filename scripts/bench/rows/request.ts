/** Round trips: each request is sent when the reply to the one before has arrived. */
import { freePort, measured, Program } from "../processes.ts";
import { compare, type Group, type Measurement, type Row } from "../row.ts";

const COUNT = 20_000;

/** Round trips through `req` and `rep --echo`, start included. */
function roundTrips(name: string, size: number): Row {
  return {
    name,
    title: `round trips of ${size} B through req and rep`,
    unit: "µs",
    needs: ["libzmq"],
    targets: { "Deno": 0.9, "Bun binary": 1 },
    sides(lab) {
      const count = lab.scaled(COUNT);
      const input = lab.lines(size, count);
      const run = (rep: readonly string[], ready: string, req: readonly string[]): Promise<Measurement> =>
        measured(async () => {
          const service = new Program(rep);
          await service.says(ready);
          const began = performance.now();
          const client = new Program(req, { stdin: input });
          await Promise.all([client.success(), service.success()]);
          return { value: (performance.now() - began) * 1000 / count, programs: [client, service] };
        });
      const c = lab.peer("line_zmq");
      return Promise.resolve(compare(lab, {
        name: "C on libzmq",
        async measure() {
          const endpoint = `tcp://127.0.0.1:${await freePort()}`;
          return await run([c, "rep", endpoint, String(count)], "ready", [c, "req", endpoint]);
        },
      }, async (command) => {
        const endpoint = `tcp://127.0.0.1:${await freePort()}`;
        const rep = [...command, "rep", endpoint, "--echo", "-n", String(count)];
        return await run(rep, "listening on", [...command, "req", endpoint]);
      }));
    },
  };
}

export const requests: Group = {
  name: "requests",
  title: "req to rep, whole processes, the time of a round trip",
  rows: [roundTrips("req-rep-64", 64)],
};
