import { Req } from "../../lib/zmq/types/req.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import examples from "../cheats/req.md" with { type: "text" };
import { command, flag, group, option } from "../app/command.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { integer } from "../app/values.ts";
import type { Source } from "../io/input.ts";
import { finishOutput, Output } from "../io/output.ts";
import { Pacer, type PacingOptions, repeats } from "../io/pacer.ts";
import { sourceOf } from "../io/source.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { ending, identity, input, output, pacing, probing, zeromq } from "../options/options.ts";
import { type RecordWriter, recordWriter, styleOf } from "../records/writer.ts";
import { cancelAtFailure, open, peersOf, socketOptions, waitForPeers } from "../zmq/socket.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
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
    ...group("Delivery", {
      correlate: flag("--correlate", "number the requests, and accept only replies with the right number"),
      relaxed: flag("--relaxed", "continue with the next request when no reply arrives within -w"),
    }),
  },
  examples,
  async action({ session, values, operands }) {
    const plan = planEndpoints(session.command, "connect", values, operands);
    const source = sourceOf(values, repeats(values));
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
      await askAll(session, socket, source, stdout, writer, values);
    } finally {
      await stdout.drained();
      await socket.close();
    }
    await finishOutput(session, stdout);
  },
});

async function askAll(
  session: Session,
  socket: Req,
  source: Source,
  stdout: Output,
  writer: RecordWriter,
  options: PacingOptions & {
    readonly count: number | undefined;
    readonly timeout: number | undefined;
    readonly relaxed: boolean | undefined;
  },
): Promise<void> {
  const pacer = new Pacer(session, options);
  const { counts } = session;
  let remaining = options.count ?? Infinity;
  await pacer.start();
  let left = 0;
  let missed = 0;
  const endWatch = cancelAtFailure(socket, source);
  try {
    await askEach();
    const failure = endWatch();
    if (failure !== undefined) throw failure;
  } finally {
    endWatch();
    // Requests without a reply are reported, whatever the reason.
    if (remaining > 0) {
      source.cancel();
      for (let batch = await source.next(); batch !== undefined; batch = await source.next()) {
        left += batch.messages;
      }
      if (source.cut) left++;
    }
    left += missed;
    counts.unsent = left;
    if (left > 0) session.reporter.error(`${messages(left)} had no reply`);
    if (missed > 0) session.exitCode = EXIT.undelivered;
  }

  async function askEach(): Promise<void> {
    for (let batch = await source.next(); batch !== undefined; batch = await source.next()) {
      for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
        left = Math.min(remaining, batch.countMessages(at, batch.frames));
        await pacer.turn();
        if (stdout.failure !== undefined || session.stopping) return;
        const frames = batch.copy(at, batch.messageEnd(at));
        let reply: Uint8Array[] | undefined;
        try {
          reply = await ask(session, socket, frames, options.timeout);
        } catch (error) {
          if (!options.relaxed || !(error instanceof TimeoutError)) throw error;
          session.reporter.warn(`${error.message}: going on with the next request (--relaxed)`);
          missed++;
          if (--remaining === 0) return source.cancel();
          continue;
        }
        if (reply === undefined) return;
        left--;
        counts.sent++;
        counts.received++;
        for (const frame of reply) counts.bytes += frame.length;
        const record = Batch.of(reply);
        writer.write(record, 0, record.frames, socket.lastPeer);
        if (stdout.full) await stdout.drained();
        else stdout.flush();
        if (--remaining === 0) return source.cancel();
      }
    }
  }
}

/** The reply; undefined when a signal arrived first. */
async function ask(
  session: Session,
  socket: Req,
  frames: Uint8Array[],
  timeout: number | undefined,
): Promise<Uint8Array[] | undefined> {
  const abort = new AbortController();
  const late = new TimeoutError(`no reply arrived within ${(timeout ?? 0) / 1000} s (-w)`);
  const timer = timeout === undefined ? undefined : setTimeout(() => abort.abort(late), timeout);
  const stop = () => abort.abort(STOPPED);
  session.onStop(stop);
  try {
    return await socket.request(frames, { signal: abort.signal });
  } catch (error) {
    if (error === STOPPED) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
    session.offStop(stop);
  }
}

const STOPPED = new Error("stopped");
