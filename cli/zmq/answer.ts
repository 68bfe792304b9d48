import { InactivityTimer } from "../../lib/echo/inactivity.ts";
import type { IncomingRequest } from "../../lib/zmq/types/rep.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { CommandRunner } from "../io/commands.ts";
import { reportFailure } from "../io/exec.ts";
import type { Output } from "../io/output.ts";
import type { Framing } from "../records/splitter.ts";

/** The requests of a socket: a REP provides them directly, ROUTER and SERVER through `addressedRequests`. */
export interface Requests {
  /** The next request; undefined when there are no more. */
  receive(): Promise<IncomingRequest & { readonly routingId?: string } | undefined>;
  /** Stops receiving further requests. */
  endReceiving(): void;
  readonly failure: Error | undefined;
}

/** How requests are answered. */
export interface Responder {
  /** How many requests are processed at a time. */
  readonly jobs: number;
  /** Prints requests; undefined when they go to a command or are sent back. */
  readonly output: Output;
  /** Resolves when there are no more replies. */
  readonly exhausted?: Promise<void>;
  /** Answers a request, at once or later. */
  answer(request: IncomingRequest & { readonly routingId?: string }, sequence: number): Promise<void> | void;
}

/** Answers each request with the output of a command. */
export function execResponder(
  session: Session,
  output: Output,
  command: string,
  options: { readonly in: Framing | undefined; readonly jobs: number | undefined },
): Responder {
  const runner = new CommandRunner(session, command);
  return {
    output,
    jobs: options.jobs ?? 1,
    async answer(request, sequence) {
      const { frames, endpoint, routingId } = request;
      const parts = frames.length;
      const message = { body: concat(frames), topic: undefined, parts, sequence, endpoint, routingId };
      const outcome = await runner.run(message);
      if (outcome === undefined) {
        session.reporter.error("--exec was not run for 1 message that arrived");
        session.exitCode = EXIT.undelivered;
        return;
      }
      reportFailure(session, message, outcome);
      if (outcome.failure !== undefined) session.exitCode = EXIT.exec;
      const { printed } = outcome;
      // A line is a message without its newline; --in blob keeps every byte.
      const last = options.in === undefined && printed.at(-1) === 0x0a ? printed.length - 1 : printed.length;
      reply(session, request, [printed.subarray(0, last)]);
    },
  };
}

/** Sends a reply, and counts it. */
export function reply(session: Session, request: IncomingRequest, frames: readonly Uint8Array[]): void {
  request.reply(frames);
  session.counts.sent++;
  for (const frame of frames) session.counts.bytes += frame.length;
}

/** Answers requests until a limit, an error or a signal ends it. */
export async function answerAll(
  session: Session,
  socket: Requests,
  responder: Responder,
  count: number,
  timeout: number | undefined,
): Promise<void> {
  let over = false;
  let late = false;
  let taken = 0;
  let busy = 0;
  const end = () => {
    over = true;
    socket.endReceiving();
  };
  const expire = () => {
    late = true;
    end();
  };
  // Time in which requests are processed does not count as idle.
  const inactivity = timeout === undefined
    ? undefined
    : new InactivityTimer(timeout, expire, () => busy === 0);
  session.onStop(end);
  responder.exhausted?.then(end);
  responder.output.onChange = () => responder.output.failure !== undefined && end();
  const worker = async () => {
    // Each worker takes its number first, so that together they do not take too many requests.
    while (!over && taken < count) {
      const sequence = ++taken;
      const request = await socket.receive();
      if (request === undefined) return end();
      session.counts.received++;
      busy++;
      inactivity?.touch();
      const later = responder.answer(request, sequence);
      if (later !== undefined) await later;
      inactivity?.touch();
      busy--;
    }
  };
  await Promise.all(Array.from({ length: Math.min(responder.jobs, count) }, worker));
  inactivity?.stop();
  end();
  if (socket.failure !== undefined) throw socket.failure;
  if (late) throw new TimeoutError(`no request arrived for ${timeout! / 1000} s (-w)`);
}
