/** Bytes to an echo server and back. */
import { freePort, measured, Program } from "../processes.ts";
import { compare, type Group, type Measurement } from "../row.ts";

const LENGTH = 2 ** 20 - 1;
const COUNT = 500;

export const echo: Group = {
  name: "echo",
  title: "echo-client to echo-server, whole processes",
  rows: [{
    name: "echo",
    title: "500 MB there and back",
    unit: "MB/s",
    needs: ["socat"],
    targets: { "Deno": 1.2, "Bun binary": 1 },
    sides(lab) {
      const count = lab.scaled(COUNT);
      const input = lab.lines(LENGTH, count);
      const megabytes = count * (LENGTH + 1) / 1e6;
      const run = (serve: readonly string[], ready: string, ask: readonly string[]): Promise<Measurement> =>
        measured(async () => {
          const server = new Program(serve);
          await server.says(ready);
          const began = performance.now();
          const client = new Program(ask, { stdin: input });
          await client.success();
          const seconds = (performance.now() - began) / 1000;
          await server.success();
          return { value: megabytes / seconds, programs: [client, server] };
        });
      return Promise.resolve(compare(lab, {
        name: "socat, EXEC:cat",
        async measure() {
          const port = await freePort();
          const socat = ["socat", "-d", "-d", "-b", "65536"];
          const serve = [...socat, "-t", "30", `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr`, "EXEC:cat"];
          return await run(serve, "listening on", [...socat, "-t", "30", "-", `TCP:127.0.0.1:${port}`]);
        },
      }, async (command) => {
        const endpoint = `tcp://127.0.0.1:${await freePort()}`;
        const serve = [...command, "echo-server", endpoint, "--once"];
        return await run(serve, "listening on", [...command, "echo-client", endpoint]);
      }));
    },
  }],
};
