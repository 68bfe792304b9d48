/** The library without the program: round trips between two processes, without their start. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findBun } from "../../bun.ts";
import type { Lab } from "../lab.ts";
import type { Peer } from "../peers.ts";
import { freePort, measured, Program } from "../processes.ts";
import type { Group, Measurement, Row } from "../row.ts";

const COUNT = 20_000;
const HERE = fileURLToPath(new URL("../peers/", import.meta.url));

/** Runs both ends; the client prints the time of a trip in microseconds. */
async function trips(command: readonly string[], count: number): Promise<Measurement> {
  const endpoint = `tcp://127.0.0.1:${await freePort()}`;
  return await measured(async () => {
    const service = new Program([...command, "rep", endpoint]);
    await service.says("ready");
    const client = new Program([...command, "req", endpoint, String(count)], { collect: true });
    await client.success();
    await service.stop();
    return { value: Number(client.output), programs: [client, service] };
  });
}

/** The folder of the zeromq package of npm. */
function zeromqJs(lab: Lab): string {
  return lab.once("zeromq.js", () => {
    const folder = lab.file("zeromq.js");
    fs.mkdirSync(folder);
    const flags = ["--no-audit", "--no-fund", "--silent"];
    execFileSync("npm", ["install", "--prefix", folder, ...flags, "zeromq@6.8.0"], { stdio: "ignore" });
    return folder;
  });
}

function roundTrips(name: string, peer: string, need: Peer, command: (lab: Lab) => readonly string[]): Row {
  return {
    name,
    title: `round trips of 64 B, a promise for each, against ${peer}`,
    unit: "µs",
    needs: [need],
    targets: { "Deno": 1, "Bun": 1 },
    sides(lab) {
      const count = lab.scaled(COUNT);
      const side = (name: string, command: readonly string[]) => ({
        name,
        ...(name === peer ? {} : { against: peer }),
        measure: () => trips(command, count),
      });
      return Promise.resolve([
        side(peer, command(lab)),
        side("Deno", [process.execPath, "run", "-A", "--no-check", `${HERE}trips.ts`]),
        side("Bun", [findBun(), `${HERE}trips.ts`]),
      ]);
    },
  };
}

export const library: Group = {
  name: "library",
  title: "Req to Rep of the library, two processes, the time of a round trip",
  rows: [
    roundTrips("library-pyzmq", "pyzmq", "pyzmq", () => ["/usr/bin/python3", `${HERE}trips.py`]),
    roundTrips(
      "library-zeromq-js",
      "zeromq.js on Node",
      "zeromq.js",
      (lab) => ["node", `${HERE}trips.mjs`, zeromqJs(lab)],
    ),
  ],
};
