import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UsageError } from "../../../../cli/app/errors.ts";
import type { Session } from "../../../../cli/app/session.ts";
import bench from "../../../../cli/commands/bench.ts";

/** Runs the action with these operands and values; it fails before it needs more of the session. */
async function attempt(operands: string[], given: Record<string, unknown> = {}): Promise<void> {
  const unset = Object.entries(bench.options).map((
    [key, { kind }],
  ) => [key, kind === "list" ? [] : undefined]);
  const values = { ...Object.fromEntries(unset), ...given };
  const session = { command: "bench", onStop: () => {} } as unknown as Session;
  await bench.action({ session, values, operands });
}

describe("bench - options", () => {
  const mistakes: [operands: string[], values: Record<string, unknown>, error: RegExp][] = [
    [["foo"], {}, /there is no benchmark 'foo': there are push-pull, pub-sub, req-rep, queue/],
    [["push-pull", ":1", ":2"], {}, /one endpoint/],
    [["push-pull"], { url: "amqp://x" }, /--url is for the benchmark queue/],
    [["push-pull"], { persistent: true }, /--persistent is for the benchmarks of brokers/],
    [["push-pull", "amqp:q"], { url: "amqp://x" }, /--url is for the benchmark queue/],
    [["push-pull", "amqp:q"], { curve: true }, /--curve is for a ZeroMQ benchmark/],
    [["pub-sub", "amqp:"], { qos: "1" }, /--qos is for MQTT, not for AMQP/],
    [["queue"], { qos: "1" }, /--qos is for MQTT, not for AMQP/],
    [["pub-sub", "@mqtt:"], {}, /connects to brokers/],
    [["req-rep", "amqp:q"], {}, /req-rep is for ZeroMQ/],
    [["queue"], { curve: true }, /--curve is for a ZeroMQ benchmark/],
    [["queue"], { origin: ["https://x"] }, /--allow-origin is for a ZeroMQ benchmark/],
    [["queue", ":5672"], {}, /':5672': the broker is named with --url/],
    [["queue"], { role: "send" }, /--role send needs --queue/],
    [["req-rep"], { role: "send" }, /--role send needs an endpoint/],
    [["push-pull", "@:5555"], { role: "receive", clients: 2 }, /one socket binds/],
    [["push-pull", ":5555"], { role: "receive", rate: 10 }, /--rate is for the side that sends/],
    [["push-pull", ":5555"], { role: "receive", size: 10 }, /-s is for the side that sends/],
    [["push-pull", "udp://127.0.0.1:5555"], {}, /not udp:\/\//],
    [["push-pull"], { against: "/nonexistent/file" }, /--against '\/nonexistent\/file'/],
  ];
  for (const [operands, values, error] of mistakes) {
    it(`bench ${operands.join(" ")} ${JSON.stringify(values)} - is a mistake`, async () => {
      await assert.rejects(attempt(operands, values), (thrown: Error) => {
        assert.ok(thrown instanceof UsageError, String(thrown));
        assert.match(thrown.message, error);
        return true;
      });
    });
  }
});
