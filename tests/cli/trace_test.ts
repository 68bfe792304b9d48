/** `queue trace` at our broker: each step of a message, over all protocols. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { type Program, readyFile, run, start, test } from "../support/mqcat.ts";

interface Event {
  readonly event: string;
  readonly queue?: string;
  readonly position?: string;
  readonly exchange?: string;
  readonly key?: string;
  readonly queues?: { queue: string; position: string }[];
  readonly user?: string;
  readonly connection?: string;
  readonly message_id?: string;
  readonly size?: number;
}

/** Starts a broker and a trace with these options; `work` uses the broker. */
async function traced(
  options: readonly string[],
  work: (use: (args: readonly string[], code?: number) => Promise<void>, urls: string[]) => Promise<void>,
  until: (trace: Program) => Promise<unknown>,
): Promise<string> {
  using dir = tempDir();
  const [ready, listening] = [dir.file("ready"), dir.file("listening")];
  using _broker = start([
    "queue",
    "serve",
    ":0",
    "mqtt://:0",
    "stomp://:0",
    "--memory",
    "--ready-file",
    ready,
  ]);
  const urls = [...await readyFile(ready)];
  const env = { AMQP_URL: urls[0]! };
  const use = async (args: readonly string[], expected = 0) => {
    const { code, stderr } = await run(args, { env });
    assert.equal(code, expected, `${args.join(" ")}: ${stderr}`);
  };
  await use(["queue", "declare", "jobs", "other"]);
  using trace = start(["queue", "trace", ...options, "--ready-file", listening], { env });
  await readyFile(listening);
  await work(use, urls);
  await until(trace);
  trace.kill("SIGTERM");
  return (await trace.exit()).stdout.toString();
}

const events = (text: string): Event[] => text.trimEnd().split("\n").map((line) => JSON.parse(line));

describe("queue trace", () => {
  test("a message is followed by its position: publish, deliver, acknowledge or requeue", async () => {
    const text = await traced(["-J"], async (use) => {
      await use(["queue", "put", "jobs", "-P", "message_id:m1", "-D", "one"]);
      await use(["queue", "put", "jobs", "-D", "two"]);
      await use(["queue", "get", "jobs", "-n", "1"]);
      await use(["pub", "amqp:amq.topic", "-t", "a.b", "-D", "to nobody"]);
    }, (trace) => trace.waitForStdout(/amq\.topic/));
    const seen = events(text);
    assert.deepEqual(
      seen.map((
        { event, exchange, key, queue, position, queues, message_id, size },
      ) => [
        event,
        exchange ?? queue,
        key ?? position,
        queues?.map((at) => `${at.queue}#${at.position}`),
        message_id,
        size,
      ]),
      [
        ["publish", "", "jobs", ["jobs#0"], "m1", 3],
        ["publish", "", "jobs", ["jobs#1"], undefined, 3],
        ["deliver", "jobs", "0", undefined, "m1", 3],
        ["ack", "jobs", "0", undefined, undefined, undefined],
        ["publish", "amq.topic", "a.b", [], undefined, 9],
      ],
    );
    for (const { user, connection } of seen) {
      assert.equal(user, "guest");
      assert.match(connection!, /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/);
    }
    // The publishers are two connections, and what one consumer gets it acknowledges itself.
    assert.notEqual(seen[0]!.connection, seen[1]!.connection);
    assert.equal(seen[2]!.connection, seen[3]!.connection);
  });

  test("MQTT and STOMP clients are traced, too", async () => {
    const text = await traced(["-J"], async (use, [, mqtt, stomp]) => {
      await use(["push", `${stomp}/queue/jobs`, "-D", "by STOMP"]);
      await use(["pull", `${stomp}/queue/jobs`, "-n", "1"]);
      await use(["pub", `${mqtt}/a/b`, "-D", "by MQTT"]);
    }, (trace) => trace.waitForStdout(/"a\.b"/));
    assert.deepEqual(
      events(text).filter(({ queue, key }) => queue === "jobs" || key === "jobs" || key === "a.b")
        .map(({ event, connection }) => [event, /^127\.0\.0\.1:\d+ -> /.test(connection!)]),
      [["publish", true], ["deliver", true], ["ack", true], ["publish", true]],
    );
  });

  test("--queue, --connection - leave out the rest; a line of text is readable", async () => {
    const text = await traced(["--queue", "other", "--connection", "guest"], async (use) => {
      await use(["queue", "put", "jobs", "-D", "one"]);
      await use(["queue", "put", "other", "-D", "two"]);
      await use(["queue", "get", "other", "-n", "1"]);
    }, (trace) => trace.waitForStdout(/ ack /));
    const client = String.raw`guest 127\.0\.0\.1:\d+`;
    const time = String.raw`^\d{4}-\S+Z {2}`;
    assert.match(
      text,
      new RegExp(
        `${time}publish  \\(default\\) other  -> other#0  3 bytes  by ${client}\n` +
          `\\S+  deliver  other#0  3 bytes  to ${client}\n` +
          `\\S+  ack      other#0  by ${client}\n$`,
      ),
    );
  });

  test("--queue - a name with a typo is refused, instead of a wait for nothing", async () => {
    using dir = tempDir();
    using _broker = start(["queue", "serve", ":0", "--memory", "--ready-file", dir.file("ready")]);
    const [url] = await readyFile(dir.file("ready"));
    const env = { AMQP_URL: url! };
    assert.equal((await run(["queue", "declare", "jobs"], { env })).code, 0);
    const { code, stderr } = await run(["queue", "trace", "--queue", "jbos"], { env });
    assert.deepEqual(
      [code, stderr],
      [1, "mqcat: queue trace: there is no queue 'jbos' (did you mean 'jobs'?)\n"],
    );
  });

  test("a requeued and a rejected message are told apart", async () => {
    const text = await traced(["-J", "--queue", "jobs"], async (use) => {
      await use(["queue", "put", "jobs", "-D", "one"]);
      const failing = ["queue", "get", "jobs", "-n", "1", "--exec", "false", "--max-attempts", "1"];
      await use([...failing, "--on-error", "requeue"], 6);
      await use([...failing, "--on-error", "reject"], 6);
    }, (trace) => trace.waitForStdout(/"reject"/));
    assert.deepEqual(events(text).map(({ event }) => event), [
      "publish",
      "deliver",
      "requeue",
      "deliver",
      "reject",
    ]);
  });
});
