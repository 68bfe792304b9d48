import { InactivityTimer } from "../../lib/echo/inactivity.ts";
import { type Asker, Req } from "../../lib/zmq/types/req.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import examples from "../cheats/req.md" with { type: "text" };
import { command, flag, group, option } from "../app/command.ts";
import { EXIT, TimeoutError, UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { integer } from "../app/values.ts";
import { countMessages, type Source } from "../io/input.ts";
import { finishOutput, Output } from "../io/output.ts";
import { Pacer, type PacingOptions, repeats } from "../io/pacer.ts";
import { sourceOf } from "../io/source.ts";
import { placing } from "../options/broker.ts";
import { asking, envelope } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { ending, identity, input, output, pacing, probing, zeromq } from "../options/options.ts";
import { brokerOperand } from "../options/systems.ts";
import { type RecordWriter, recordWriter, styleOf } from "../records/writer.ts";
import { cancelAtFailure, open, peersOf, socketOptions, waitForPeers } from "../zmq/socket.ts";

export default command({
  argument: [
    "[endpoint...]",
    "where to connect; @ in front binds; or a queue or topic of a broker: amqp://host//queue, amqp:queue, mqtt:topic",
  ],
  options: {
    ...zeromq,
    ...input,
    ...output,
    ...ending,
    ...pacing,
    ...group("Delivery", {
      waitPeers: option(
        "--wait-peers <number>",
        "wait for this number of peers before the first request (default: 0)",
        integer(0),
      ),
    }),
    ...identity,
    ...probing,
    ...envelope,
    ...asking,
    ...placing,
    ...group("Delivery", {
      correlate: flag("--correlate", "number the requests, and accept only replies with the right number"),
      relaxed: flag("--relaxed", "continue with the next request when no reply arrives within -w"),
    }),
    ...brokerContext,
  },
  examples,
  async action({ session, values, operands }) {
    const broker = brokerOperand(session.command, values, operands);
    if (broker !== undefined) {
      const { request } = await import("../brokers/request.ts");
      return await request(session, broker, values);
    }
    if (values.jobs !== undefined) {
      throw new UsageError(
        "-j is for brokers: a REQ sends the next request after the reply (dealer sends several)",
      );
    }
    if (values.topic !== undefined) {
      throw new UsageError("-t is the routing key for --exchange, which is for AMQP");
    }
    const plan = planEndpoints(session.command, "connect", values, operands);
    const source = sourceOf(session, values, repeats(values));
    const stdout = new Output(session);
    const writer = recordWriter(stdout, styleOf(session, values, false));
    const socket = new Req({
      ...await socketOptions(session, values),
      identity: values.identity,
      probe: values.probeRouter,
      correlate: values.correlate,
    });
    await open(session, socket, plan);
    await waitForPeers(session, socket, peersOf(socket, values.waitPeers), values.timeout);
    session.onStop(() => source.cancel());
    try {
      await new Asking(session, socket, source, stdout, writer, values).run();
    } finally {
      await stdout.drained();
      await socket.close();
    }
    await finishOutput(session, stdout);
  },
});

type AskingOptions = PacingOptions & {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly relaxed: boolean | undefined;
};

/**
 * Sends a request for each message of a source, one at a time, and writes the replies. The next request is sent in the
 * same task in which a reply arrives and is written.
 */
class Asking implements Asker {
  /** How many requests may still be sent. */
  #remaining: number;
  /** How many messages of the current batch have no reply. */
  #left = 0;
  /** How many requests had no reply in time, with `--relaxed`. */
  #missed = 0;
  readonly #session: Session;
  readonly #socket: Req;
  readonly #source: Source;
  readonly #stdout: Output;
  readonly #writer: RecordWriter;
  readonly #options: AskingOptions;
  readonly #pacer: Pacer;
  #timer: InactivityTimer | undefined;
  #waiting = false;
  #batch = new Batch();
  /** The frames of the current request. */
  #at = 0;
  #end = 0;
  #resolve: (goesOn: boolean) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(
    session: Session,
    socket: Req,
    source: Source,
    stdout: Output,
    writer: RecordWriter,
    options: AskingOptions,
  ) {
    this.#session = session;
    this.#socket = socket;
    this.#source = source;
    this.#stdout = stdout;
    this.#writer = writer;
    this.#options = options;
    this.#pacer = new Pacer(session, options);
    this.#remaining = options.count ?? Infinity;
  }

  /** Resolves when every request is settled, or when a condition ends the command. */
  async run(): Promise<void> {
    await this.#pacer.start();
    this.#session.onStop(this.#cancel);
    this.#restartTimer();
    const source = this.#source;
    const endWatch = cancelAtFailure(this.#socket, source);
    try {
      for (let batch = await source.next(); batch !== undefined; batch = await source.next()) {
        if (!await this.#ask(batch)) break;
      }
      const failure = endWatch();
      if (failure !== undefined) throw failure;
    } finally {
      endWatch();
      this.#session.offStop(this.#cancel);
      this.#timer?.stop();
      await this.#report();
    }
  }

  /** Reports the requests without a reply, whatever the reason. */
  async #report(): Promise<void> {
    const source = this.#source;
    let unanswered = this.#left;
    if (this.#remaining > 0) {
      source.cancel();
      unanswered = Math.min(unanswered + await countMessages(source), this.#remaining);
    }
    unanswered += this.#missed;
    this.#session.counts.unsent = unanswered;
    if (unanswered > 0) this.#session.reporter.error(`${messages(unanswered)} had no reply`);
    if (this.#missed > 0) this.#session.exitCode = EXIT.undelivered;
  }

  /** Sends each message of a batch. @returns whether the next batch may follow */
  #ask(batch: Batch): Promise<boolean> {
    this.#batch = batch;
    this.#at = 0;
    this.#left = Math.min(this.#remaining, batch.messages);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#next();
    });
  }

  onReply(reply: Batch, from: number, to: number): void {
    const { counts } = this.#session;
    counts.sent++;
    counts.received++;
    counts.bytes += reply.countBytes(from, to);
    try {
      this.#writer.write(reply, from, to, this.#socket.lastPeer);
    } catch (error) {
      return this.#reject(error);
    }
    this.#stdout.flush();
    this.#settled();
  }

  onFailure(error: unknown): void {
    if (error === STOPPED) return this.#resolve(false);
    if (!this.#options.relaxed || !(error instanceof TimeoutError)) return this.#reject(error);
    this.#session.reporter.warn(`${error.message}: going on with the next request (--relaxed)`);
    this.#missed++;
    this.#restartTimer();
    this.#settled();
  }

  readonly #next = (): void => {
    if (this.#at === this.#batch.frames) this.#resolve(true);
    else if (this.#pacer.idle) this.#send();
    else this.#pacer.turn().then(this.#send);
  };

  readonly #send = (): void => {
    if (this.#stdout.failure !== undefined || this.#session.stopping) return this.#resolve(false);
    this.#end = this.#batch.messageEnd(this.#at);
    this.#waiting = true;
    this.#timer?.touch();
    this.#socket.ask(this.#batch, this.#at, this.#end, this);
  };

  /** The current request has its reply, or its time is over. */
  #settled(): void {
    this.#waiting = false;
    this.#left--;
    this.#at = this.#end;
    if (--this.#remaining === 0) {
      this.#source.cancel();
      this.#resolve(false);
    } else if (this.#stdout.full) this.#stdout.drained().then(this.#next);
    else this.#next();
  }

  #restartTimer(): void {
    const { timeout } = this.#options;
    if (timeout === undefined) return;
    this.#timer?.stop();
    const expire = () =>
      this.#socket.cancel(new TimeoutError(`no reply arrived within ${timeout / 1000} s (-w)`));
    this.#timer = new InactivityTimer(timeout, expire, () => this.#waiting);
  }

  readonly #cancel = (): void => this.#socket.cancel(STOPPED);
}

const STOPPED = new Error("stopped");
