import type { IncomingRequest } from "../../lib/zmq/types/rep.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { EXIT } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { CommandRunner } from "../io/commands.ts";
import type { Responder } from "../io/answering.ts";
import { printedMessage, reportFailure } from "../io/exec.ts";
import type { Output } from "../io/output.ts";
import type { Framing } from "../records/splitter.ts";

/** A request of a REP, or of a ROUTER or SERVER through `addressedRequests`. */
export type ZmqRequest = IncomingRequest & { readonly routingId?: string };

/** Answers each request with the output of a command. */
export function execResponder(
  session: Session,
  output: Output,
  command: string,
  options: { readonly in: Framing | undefined; readonly jobs: number | undefined },
): Responder<ZmqRequest> {
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
      reply(session, request, [printedMessage(outcome.printed, options.in)]);
    },
  };
}

/** Sends a reply, and counts it. */
export function reply(session: Session, request: IncomingRequest, frames: readonly Uint8Array[]): void {
  request.reply(frames);
  session.counts.sent++;
  for (const frame of frames) session.counts.bytes += frame.length;
}
