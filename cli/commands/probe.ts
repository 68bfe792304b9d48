import { type Finding, probe } from "../../lib/probe/probe.ts";
import type { Endpoint } from "../../lib/transport/endpoint.ts";
import { carries } from "../../lib/transport/schemes/table.ts";
import examples from "../cheats/probe.md" with { type: "text" };
import { command, flag, group, option } from "../app/command.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import { duration, endpoint } from "../app/values.ts";
import { finishOutput, Output } from "../io/output.ts";
import { findingRecord, findingText } from "../probe/probe.ts";

/** The transport and the port of the URLs of other programs. */
const SCHEMES: Record<string, readonly [scheme: string, port: number]> = {
  amqp: ["tcp", 5672],
  amqps: ["tls", 5671],
  http: ["tcp", 80],
  https: ["tls", 443],
  mqtt: ["tcp", 1883],
  mqtts: ["tls", 8883],
  stomp: ["tcp", 61613],
  stomps: ["tls", 61614],
};

const CODES: Record<Finding["outcome"], number> = {
  identified: EXIT.done,
  unknown: EXIT.failure,
  silent: EXIT.timeout,
  refused: EXIT.refused,
};

export default command({
  argument: ["<endpoint...>", "tcp, ipc, unix, tls, ws or wss, or a URL of amqp, mqtt, stomp or http"],
  addresses: {
    schemes: ["tcp", "tls", "ws", "wss", ...Object.keys(SCHEMES)].map((scheme) => `${scheme}://`).concat(
      "ipc:///",
      "unix:///",
    ),
  },
  options: {
    ...group("Output", { json: flag("-J, --json", "one JSON record for each endpoint") }),
    ...group("Timing", {
      timeout: option("-w, --timeout <duration>", "time limit for each endpoint (default: 3s)", duration),
    }),
  },
  examples,
  async action({ session, values, operands }) {
    const endpoints = operands.map(target);
    const output = new Output(session);
    const stopped = new Promise<undefined>((resolve) => session.onStop(() => resolve(undefined)));
    const probes = endpoints.map((endpoint) => probe(endpoint, { timeout: values.timeout }));
    for (const finding of probes) {
      const found = await Promise.race([finding, stopped]);
      if (found === undefined) break;
      const text = values.json ? `${JSON.stringify(findingRecord(found))}\n` : findingText(found);
      output.append(new TextEncoder().encode(text));
      session.exitCode ||= CODES[found.outcome];
    }
    await finishOutput(session, output);
  },
});

/** @throws {UsageError} the operand is malformed, or its transport cannot be probed */
function target(operand: string): Endpoint {
  const short = /^(\w+):(?:\D|$)/.exec(operand)?.[1] ?? "";
  if (short in SCHEMES && !operand.includes("://")) {
    throw new UsageError(
      `'${short}:…' is at the broker in use: probe needs its address (try ${short}://localhost)`,
    );
  }
  const url = /^(\w+):\/\/(?:[^/@]*@)?([^/]*)/.exec(operand);
  const [scheme, port] = SCHEMES[url?.[1] ?? ""] ?? [];
  const host = url?.[2] ?? "";
  const where = endpoint(
    scheme === undefined ? operand : `${scheme}://${/:\d+$/.test(host) ? host : `${host}:${port}`}`,
  );
  if (carries(where, "datagrams") || where.scheme === "inproc") {
    throw new UsageError(`${operand}: cannot probe over ${where.scheme} (try tcp, ipc, tls or ws)`);
  }
  return where;
}
