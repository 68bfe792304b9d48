/** The command `rep` at a broker. */
import type { ReplierEvents, Request } from "../../lib/patterns/replier.ts";
import type { Session } from "../app/session.ts";
import type { Responder } from "../io/answering.ts";
import { Output } from "../io/output.ts";
import type { BrokerOperand } from "../options/systems.ts";
import { type OutputOptions, styleOf } from "../records/writer.ts";
import { type AnswerOptions, answerRequests, Answers, echo, execute, recite } from "./answer.ts";
import { messagesOf, type MessageValues, propertiesOf } from "./pack.ts";
import { queueWriter } from "./records.ts";
import type { OfferedValues } from "./contract.ts";
import { patternsOf } from "./systems.ts";

/** The most requests that wait for their turn with `--echo`. */
const PREFETCH = 100;

/** The values of the options of `rep` that concern brokers. */
export type ReplyValues = OfferedValues & MessageValues & OutputOptions & AnswerOptions & {
  readonly echo: boolean | undefined;
  readonly exec: string | undefined;
  readonly jobs: number | undefined;
  readonly maxAttempts: number | undefined;
};

/** Answers the requests of a broker. */
export async function reply(
  session: Session,
  { system, address }: BrokerOperand,
  values: ReplyValues,
): Promise<void> {
  const service = (await patternsOf(system)).reply(session, address, values);
  const prefetch = Math.min(values.echo ? PREFETCH : values.jobs ?? 1, values.count ?? Infinity);
  const open = (events: ReplierEvents) => service.open(events, prefetch);
  const answers = new Answers(session, open, propertiesOf(values), values.onError);
  const responder = responderFor(session, answers, values);
  await answerRequests(session, service, answers, responder, values);
}

function responderFor(
  session: Session,
  answers: Answers,
  values: ReplyValues,
): Responder<Request> {
  const output = new Output(session);
  if (values.echo) return echo(answers, output);
  if (values.exec !== undefined) return execute(answers, output, values.exec, values);
  const repeats = values.data.length + values.file.length > 0;
  const { source, pack } = messagesOf(session, values, { exchange: "" }, {}, repeats);
  session.onStop(() => source.cancel());
  const write = queueWriter(output, styleOf(session, values, false));
  return recite(answers, output, (delivery) => write(delivery, answers.replier.broker!), source, pack);
}
