import process from "node:process";
import type { BrokerSystem } from "../../lib/patterns/address.ts";
import denoJson from "../../deno.json" with { type: "json" };
import examples from "../cheats/bench.md" with { type: "text" };
import { command, flag, group, option, readiness, type Values } from "../app/command.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { duration, integer, oneOf, rate, size, word } from "../app/values.ts";
import type { Report } from "../bench/report.ts";
import {
  type Benchmark,
  BENCHMARKS,
  type Outcome,
  type Progressing,
  ROLES,
  type Spec,
} from "../bench/spec.ts";
import { finishOutput, Output } from "../io/output.ts";
import { broker } from "../options/broker.ts";
import { quality } from "../options/brokers.ts";
import { type BrokerOperand, brokerOperand, isGiven, refuseOptions } from "../options/systems.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { DEFAULT_LINGER_MS, delivery, socket } from "../options/options.ts";

/** Without `-n` and `--duration` a sender ends after this time, in milliseconds. */
const DEFAULT_DURATION_MS = 5000;
const DEFAULT_SIZE = 64;
const MAX_SIZE = 2 ** 30;

function messageSize(text: string): number {
  const bytes = size(text);
  if (bytes > MAX_SIZE) throw new Error("the largest message is 1G");
  return bytes;
}

const load = group("Load", {
  role: option(
    "--role <role>",
    "the side of this process: both, send or receive (default: both)",
    oneOf(...ROLES),
  ),
  size: option(
    "-s, --size <bytes>",
    `size of a message, 100, 4k or 1M (default: ${DEFAULT_SIZE})`,
    messageSize,
  ),
  count: option("-n, --count <number>", "end after this number of messages", integer(1)),
  duration: option(
    "--duration <duration>",
    "end after this time (default: 5s for senders without -n)",
    duration,
  ),
  rate: option(
    "--rate <number/s>",
    "send this number of messages per second; the latency of each is measured from the time at which it should be sent",
    rate,
  ),
  clients: option(
    "--clients <number>",
    "number of sockets that connect; for queue: the number of publishers, and of consumers (default: 1)",
    integer(1, 1000),
  ),
});

const queueOptions = {
  ...broker,
  ...group("Broker", {
    queue: option("--queue <name>", "use this queue, which must exist (default: one for this run)", word),
  }),
};

const brokerOptions = {
  ...quality,
  ...group("Broker", {
    persistent: flag("--persistent", "publish persistent messages"),
    prefetch: option(
      "--prefetch <number>",
      "number of messages to prefetch (default: 1000)",
      integer(1, 65535),
    ),
  }),
};

const zeroMqOptions = {
  ...readiness,
  ...socket,
  ...group("Security", {
    curve: flag("--curve", "encrypt the connections between the two sides in this process with CURVE"),
  }),
  ...group("Delivery", {
    waitPeers: option(
      "--wait-peers <number>",
      "with --role send: wait for this number of peers (default: 1)",
      integer(0),
    ),
    linger: delivery.linger,
    hwm: delivery.hwm,
  }),
};

const options = {
  ...load,
  ...zeroMqOptions,
  ...queueOptions,
  ...brokerOptions,
  ...group("Security", {
    passwordFile: option(
      "--password-file <path>",
      "read the password of --user or of the URL from this file (default: $MQCAT_PASSWORD)",
      word,
    ),
  }),
  ...group("Output", {
    json: flag("-J, --json", "print one JSON record, with the histogram of the latency"),
    against: option("--against <file>", "compare with the last run in this file, which -J wrote", word),
  }),
  ...group("Timing", {
    timeout: option(
      "-w, --timeout <duration>",
      "give up (exit 3) when nothing was sent or received for this long (default: 10s with --role both, else no limit)",
      duration,
    ),
  }),
};

type BenchValues = Values<typeof options>;

export default command({
  argument: [
    "<benchmark> [endpoint]",
    "benchmark: push-pull, pub-sub, req-rep or queue; @ in front of an endpoint binds, > connects; push-pull and pub-sub " +
    "also take the address of a broker",
  ],
  choices: { benchmark: BENCHMARKS },
  options,
  examples,
  async action({ session, values, operands }) {
    const [name, endpoint, ...others] = operands;
    const benchmark = BENCHMARKS.find((benchmark) => benchmark === name);
    if (benchmark === undefined) {
      throw new UsageError(`there is no benchmark '${name}': there are ${BENCHMARKS.join(", ")}`);
    }
    if (others.length > 0) throw new UsageError("a benchmark has one endpoint");
    const at = benchmark === "queue" || endpoint === undefined
      ? undefined
      : brokerOperand(`${session.command} ${benchmark}`, {}, [endpoint]);
    refuseForeign(benchmark, at?.system, values);
    const spec = specOf(values);
    const { differences, ratiosTo, readReport } = await import("../bench/comparison.ts");
    const before = values.against === undefined ? undefined : readReport(values.against, benchmark);
    const progress = new ProgressLine(session);
    const started = new Date();
    let outcome: Outcome;
    try {
      if (benchmark === "queue") outcome = await runQueue(session, spec, endpoint, values, progress);
      else if (at !== undefined) outcome = await runAddress(session, benchmark, spec, at, values, progress);
      else outcome = await runZeroMq(session, benchmark, spec, endpoint, values, progress);
    } finally {
      progress.end();
    }
    const { renderReport, reportOf } = await import("../bench/report.ts");
    const { role, size, clients, limits } = spec;
    const { endpoint: where, variant = "", measured: { received } } = outcome;
    // The sender chooses the size.
    const seen = role === "receive" && received?.messages
      ? Math.round(received.bytes / received.messages)
      : size;
    const settings = {
      benchmark,
      role,
      size: seen,
      clients,
      rate: limits.rate ?? null,
      variant,
      endpoint: where,
    };
    const report = reportOf(settings, started, versionOf(), outcome.measured);
    if (before !== undefined) {
      const different = differences(report, before);
      if (different.length > 0) session.reporter.warn(`--against: ${different.join("; ")}`);
    }
    const ratios = before === undefined ? undefined : ratiosTo(report, before);
    const text = values.json
      ? `${JSON.stringify({ ...report, ...(ratios && { against: Object.fromEntries(ratios) }) })}\n`
      : renderReport(report, ratios);
    await print(session, text);
    account(session, report, outcome);
  },
});

function specOf(
  { role = "both", size: given, count, duration, rate, clients = 1, timeout }: BenchValues,
): Spec {
  const isEndless = count === undefined && duration === undefined && role !== "receive";
  const limits = { count, duration: isEndless ? DEFAULT_DURATION_MS : duration, rate };
  if (role === "receive" && (rate ?? given) !== undefined) {
    throw new UsageError(`${rate === undefined ? "-s" : "--rate"} is for the side that sends (--role send)`);
  }
  return { role, size: given ?? DEFAULT_SIZE, limits, clients, timeout };
}

/** @throws {UsageError} an option has no effect on this benchmark */
function refuseForeign(benchmark: Benchmark, system: BrokerSystem | undefined, values: BenchValues): void {
  const isZeroMq = benchmark !== "queue" && system === undefined;
  const own: object = isZeroMq
    ? zeroMqOptions
    : { ...brokerOptions, ...(system === undefined && queueOptions) };
  const kinds = [
    [zeroMqOptions, "a ZeroMQ benchmark"],
    [queueOptions, "the benchmark queue"],
    [brokerOptions, "the benchmarks of brokers"],
  ] as const;
  for (const [options, kind] of kinds) {
    for (const [key, { flags }] of Object.entries(options)) {
      if (
        key in own || key === "passwordFile" || key === "context" ||
        !isGiven(values[key as keyof BenchValues])
      ) continue;
      throw new UsageError(`${/--[\w-]+/.exec(flags)![0]} is for ${kind}`);
    }
  }
  if (!isZeroMq) refuseOptions(system ?? "amqp", { qos: values.qos });
}

/** Runs push-pull or pub-sub at the address of a broker. */
async function runAddress(
  session: Session,
  benchmark: Exclude<Benchmark, "queue">,
  spec: Spec,
  at: BrokerOperand,
  values: BenchValues,
  progress: Progressing,
): Promise<Outcome> {
  if (benchmark === "req-rep") {
    throw new UsageError("req-rep is for ZeroMQ: push-pull and pub-sub take the address of a broker");
  }
  const { addressSpec } = await import("../bench/address.ts");
  const { benchBroker } = await import("../bench/brokers.ts");
  const outcome = await benchBroker(
    session,
    await addressSpec(session, benchmark, at, spec, values),
    progress,
  );
  return { ...outcome, variant: variantOf(values) };
}

function variantOf({ persistent, qos }: BenchValues): string {
  return [persistent ? "persistent" : "", qos === undefined ? "" : `QoS ${qos}`].filter(Boolean).join(", ");
}

async function runQueue(
  session: Session,
  spec: Spec,
  endpoint: string | undefined,
  values: BenchValues,
  progress: Progressing,
): Promise<Outcome> {
  if (endpoint !== undefined) {
    throw new UsageError(`'${endpoint}': the broker is named with --url, and a queue with --queue`);
  }
  if (spec.role !== "both" && values.queue === undefined) {
    throw new UsageError(`--role ${spec.role} needs --queue: the queue that both sides use`);
  }
  const { queueSpec } = await import("../bench/queue.ts");
  const { benchBroker } = await import("../bench/brokers.ts");
  const { targetOf } = await import("../queue/target.ts");
  const { queue, persistent = false, prefetch } = values;
  const target = targetOf(session, values, true);
  const outcome = await benchBroker(
    session,
    queueSpec({ ...spec, target, queue, persistent, prefetch }),
    progress,
  );
  return { ...outcome, variant: variantOf(values) };
}

async function runZeroMq(
  session: Session,
  benchmark: Exclude<Benchmark, "queue">,
  spec: Spec,
  endpoint: string | undefined,
  values: BenchValues,
  progress: Progressing,
): Promise<Outcome> {
  const { role } = spec;
  if (endpoint === undefined && role !== "both") {
    throw new UsageError(
      `--role ${role} needs an endpoint (try: mqcat bench ${benchmark} --role ${role} :5555)`,
    );
  }
  const { benchZeroMq, BINDERS } = await import("../bench/zeromq.ts");
  const { securityPair } = await import("../bench/security.ts");
  const usual = role === "both" || BINDERS[benchmark] === role ? "bind" : "connect";
  const operand = endpoint ?? "tcp://127.0.0.1:0";
  const plan = planEndpoints("bench", usual, { ...values, bind: [], connect: [] }, [operand], benchmark);
  if (plan.bind.length > 0 && role !== "both" && spec.clients > 1) {
    throw new UsageError("--clients is for the side that connects: one socket binds");
  }
  const { waitPeers, linger = DEFAULT_LINGER_MS } = values;
  const pair = await securityPair(session, role, values);
  const outcome = await benchZeroMq(
    session,
    { ...spec, benchmark, plan, waitPeers, linger, ...pair },
    progress,
  );
  return { ...outcome, variant: pair.binding.security?.name ?? "" };
}

/** Shows the progress of the current part of the work. */
class ProgressLine implements Progressing {
  readonly #session: Session;
  #line: Progress | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  watch(count: () => number, what: string): void {
    this.#line?.end();
    this.#line = new Progress(this.#session, count, what);
  }

  end(): void {
    this.#line?.end();
  }
}

async function print(session: Session, text: string): Promise<void> {
  const output = new Output(session);
  output.append(new TextEncoder().encode(text));
  await finishOutput(session, output);
}

/** Sets the totals and the exit code. @throws the error that ended the run */
function account(
  session: Session,
  { sent, confirmed, received }: Report,
  { lost = 0, failure }: Outcome,
): void {
  const { counts } = session;
  counts.sent = sent?.messages ?? 0;
  counts.confirmed = confirmed?.messages ?? 0;
  counts.received = received?.messages ?? 0;
  counts.bytes = (sent ?? received)?.bytes ?? 0;
  counts.unsent = lost;
  if (failure !== undefined && failure !== null) throw failure;
  if (lost === 0 || session.stopping) return;
  session.reporter.error(`${messages(lost)} did not arrive`);
  session.exitCode = EXIT.undelivered;
}

function versionOf(): string {
  const { bun, deno, node } = process.versions;
  const runtime = bun !== undefined ? `bun ${bun}` : deno !== undefined ? `deno ${deno}` : `node ${node}`;
  return `mqcat ${denoJson.version}, ${runtime}`;
}
