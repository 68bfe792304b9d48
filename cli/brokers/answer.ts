/** Answers the requests of a broker: by a command, with the request itself, or with messages of the input. */
import { type BasicProperties, decodeProperties } from "../../lib/amqp/properties.ts";
import type { Replier, ReplierEvents, Request } from "../../lib/patterns/replier.ts";
import type { Delivery } from "../../lib/patterns/contract.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { EXIT } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { reportUnsent, unsentWait } from "../app/tally.ts";
import { answerAll, type Responder } from "../io/answering.ts";
import { CommandRunner } from "../io/commands.ts";
import { printedMessage } from "../io/exec.ts";
import type { Source } from "../io/input.ts";
import { finishOutput, type Output } from "../io/output.ts";
import { Turns } from "../io/turns.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import type { Framing } from "../records/splitter.ts";
import { farewell, startWithin } from "./link.ts";
import type { Pack } from "./pack.ts";
import type { OfferedService } from "./contract.ts";

/** The pause before a failed command runs again, in milliseconds. */
const RETRY_MS = 1000;
/** The header of a reply whose command failed: the reason. */
const ERROR_HEADER = "x-error";
/** Headers that send copies of a message to other queues. */
const COPY_HEADERS = /^B?CC$/;

/** What happens to a request whose command failed, and how it is reported. */
const FATES = {
  "reply": `; its output is the reply, with the header '${ERROR_HEADER}'`,
  "requeue": "; it is requeued, and rep ends",
  "dead-letter": "; it is dead-lettered",
  "reject": "; it is rejected",
} as const;

/** The values of `--on-error`. */
export type Fate = keyof typeof FATES;

/** The values of the options of `rep`; times are in milliseconds. */
export interface AnswerOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly linger: number | undefined;
  readonly onError: Fate | undefined;
}

/** Sends replies, and decides what happens to requests that have none. */
export class Answers {
  readonly session: Session;
  readonly replier: Replier;
  /** Resolves when a request was requeued: the same request would come again, and fail again. */
  readonly requeued: Promise<void>;
  readonly #fate: Fate;
  readonly #properties: BasicProperties;
  #onRequeue!: () => void;

  /**
   * @param open makes the replier
   * @param properties the properties of all replies
   */
  constructor(
    session: Session,
    open: (events: ReplierEvents) => Replier,
    properties: BasicProperties,
    fate: Fate = "reply",
  ) {
    const { counts, reporter } = session;
    this.session = session;
    this.#fate = fate;
    this.#properties = properties;
    this.requeued = new Promise((resolve) => this.#onRequeue = resolve);
    this.replier = open({
      onReplied(size) {
        counts.sent++;
        counts.confirmed++;
        counts.bytes += size;
      },
      onUndeliverable(reason) {
        counts.dropped++;
        reporter.warn(`a reply has no receiver, the requester is gone: ${reason}`);
      },
    });
  }

  /** Sends a reply, with the properties of all replies, which `own` overrides. */
  send(request: Request, body: Uint8Array, own: BasicProperties = {}): void {
    const properties = { ...this.#properties, ...own };
    const headers = { ...this.#properties.headers, ...own.headers };
    if (Object.keys(headers).length > 0) properties.headers = headers;
    this.replier.reply(request, body, properties);
  }

  /** Answers a request that has no address for a reply: nobody waits for the work. @returns whether it was one */
  refuses(request: Request, sequence: number): boolean {
    if (request.replyTo !== undefined) return false;
    const fate = this.#fate === "reply" ? "; it is acknowledged" : FATES[this.#fate];
    this.session.reporter.error(`message ${sequence} has no reply_to, so there is no reply${fate}`);
    this.session.exitCode ||= EXIT.undelivered;
    if (this.#fate === "reply") this.replier.acknowledge(request);
    else this.#reject(request);
    return true;
  }

  /**
   * Reports a failed command.
   *
   * @param attempts which attempt it was, in words
   * @param printed the output of its last attempt; undefined: another one follows
   */
  fail(request: Request, sequence: number, failure: string, attempts: string, printed?: Uint8Array): void {
    const fate = printed === undefined ? "" : FATES[this.#fate];
    this.session.reporter.error(`--exec: message ${sequence}: ${failure}${attempts}${fate}`);
    this.session.exitCode = EXIT.exec;
    if (printed === undefined) return;
    if (this.#fate !== "reply") this.#reject(request);
    else this.send(request, printed, { headers: { [ERROR_HEADER]: failure } });
  }

  #reject(request: Request): void {
    const requeue = this.#fate === "requeue";
    this.replier.reject(request, requeue);
    if (requeue) this.#onRequeue();
  }
}

/** Answers requests until a limit, an error or a signal ends it, and waits until the replies are confirmed. */
export async function answerRequests(
  session: Session,
  service: OfferedService,
  answers: Answers,
  responder: Responder<Request>,
  options: AnswerOptions,
): Promise<void> {
  const { replier } = answers;
  const linger = options.linger ?? DEFAULT_LINGER_MS;
  await startWithin(service, options.timeout, replier.start()).catch((error) => {
    throw service.explain?.(error) ?? error;
  });
  session.explainWait(() => unsentWait(replier.pending, linger));
  session.ready([service.where]);
  const { exhausted } = responder;
  let failure: unknown;
  try {
    await answerAll(
      session,
      replier,
      {
        ...responder,
        exhausted: exhausted === undefined ? answers.requeued : Promise.race([exhausted, answers.requeued]),
        answer(request, sequence) {
          if (!answers.refuses(request, sequence)) return responder.answer(request, sequence);
        },
      },
      options.count ?? Infinity,
      options.timeout,
    );
  } catch (error) {
    failure = error;
  }
  await replier.settled(linger);
  reportUnsent(session, replier.pending);
  await farewell(session, failure, (limit) => replier.cancel(limit));
  await farewell(session, failure, (limit) => replier.close(limit));
  if (failure !== undefined) throw failure;
  await finishOutput(session, responder.output);
}

/** Replies with the request itself. */
export function echo(answers: Answers, output: Output): Responder<Request> {
  return {
    output,
    jobs: 1,
    answer(request) {
      const { contentType, contentEncoding, headers = {} } = request.properties;
      const properties: BasicProperties = {};
      if (contentType !== undefined) properties.contentType = contentType;
      if (contentEncoding !== undefined) properties.contentEncoding = contentEncoding;
      const kept = Object.entries(headers).filter(([name]) => !COPY_HEADERS.test(name));
      if (kept.length > 0) properties.headers = Object.fromEntries(kept);
      answers.send(request, request.delivery.content.body, properties);
    },
  };
}

/** Replies with the output of a command. */
export function execute(
  answers: Answers,
  output: Output,
  command: string,
  options: {
    readonly in: Framing | undefined;
    readonly jobs: number | undefined;
    /** How often a failing command runs for a request; 0: without a limit. */
    readonly maxAttempts: number | undefined;
  },
): Responder<Request> {
  const { session, replier } = answers;
  const runner = new CommandRunner(session, command);
  const most = options.maxAttempts ?? 1;
  return {
    output,
    jobs: options.jobs ?? 1,
    async answer(request, sequence) {
      const { routingKey, content } = request.delivery;
      const endpoint = replier.broker!;
      const message = { body: content.body, topic: utf8(routingKey), parts: 1, sequence, endpoint };
      for (let attempt = 1;; attempt++) {
        const outcome = await runner.run(message);
        // A request without a reply returns to the queue when we disconnect.
        if (outcome === undefined || !replier.isCurrent(request)) return;
        const { failure, printed } = outcome;
        const reply = printedMessage(printed, options.in);
        if (failure === undefined) return answers.send(request, reply);
        // A signal may have ended the command, too: that is no failure of the request.
        if (session.stopping) return;
        const attempts = most === 1 ? "" : ` (attempt ${attempt}${most === 0 ? "" : ` of ${most}`})`;
        const isLast = attempt === most;
        answers.fail(request, sequence, failure, attempts, isLast ? reply : undefined);
        if (isLast) return;
        await session.sleep(RETRY_MS);
        if (session.stopping || !replier.isCurrent(request)) return;
      }
    },
  };
}

/** Prints each request, and replies with the next message of a source. */
export function recite(
  answers: Answers,
  output: Output,
  write: (delivery: Delivery) => void,
  source: Source,
  pack: Pack,
): Responder<Request> {
  const messages = new Turns(source, (batch) => messagesOf(pack, batch));
  return {
    output,
    jobs: 1,
    exhausted: messages.exhausted,
    async answer(request) {
      write(request.delivery);
      if (output.full) await output.drained();
      else output.flush();
      const message = await messages.next();
      if (message !== undefined) answers.replier.reply(request, message.body, message.properties);
    },
  };
}

/** Copies the messages of a batch. */
function messagesOf(
  pack: Pack,
  batch: Batch,
): { readonly body: Uint8Array; readonly properties: BasicProperties }[] {
  const { bodies: { bytes, starts, ends }, count, envelopes, failure } = pack(batch);
  if (failure !== undefined) throw failure;
  return Array.from({ length: count }, (_, i) => {
    const envelope = "properties" in envelopes ? envelopes : envelopes[i]!;
    return { body: bytes.slice(starts[i], ends[i]), properties: decodeProperties(envelope.properties) };
  });
}
