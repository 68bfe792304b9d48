/** Answers requests, several at a time, whatever system they come from. */
import { InactivityTimer } from "../../lib/echo/inactivity.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import type { Output } from "./output.ts";

/** Where requests come from. */
export interface Requests<Request> {
  /** The next request; undefined when there are no more. */
  receive(): Promise<Request | undefined>;
  /** Stops receiving further requests. */
  endReceiving(): void;
  readonly failure: Error | undefined;
}

/** How requests are answered. */
export interface Responder<Request> {
  /** How many requests are processed at a time. */
  readonly jobs: number;
  /** Prints requests; nothing is printed when they go to a command or are sent back. */
  readonly output: Output;
  /** Resolves when there are no more replies; rejects with the reason if it is an error. */
  readonly exhausted?: Promise<void>;
  /** Answers a request, at once or later. */
  answer(request: Request, sequence: number): Promise<void> | void;
}

/** Answers requests until a limit, an error or a signal ends it. */
export async function answerAll<Request>(
  session: Session,
  socket: Requests<Request>,
  responder: Responder<Request>,
  count: number,
  timeout: number | undefined,
): Promise<void> {
  let over = false;
  let late = false;
  let failure: unknown;
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
  responder.exhausted?.then(end, (error) => {
    failure = error;
    end();
  });
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
  failure ??= socket.failure;
  if (failure !== undefined) throw failure;
  if (late) throw new TimeoutError(`no request arrived for ${timeout! / 1000} s (-w)`);
}
