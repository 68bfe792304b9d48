import { Rep } from "../../lib/zmq/types/rep.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import examples from "../cheats/rep.md" with { type: "text" };
import { command, flag, group, type Values } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { reportUnsent } from "../app/tally.ts";
import { answerAll, type Responder } from "../io/answering.ts";
import { checkExec, refuseFormatting } from "../io/exec.ts";
import { finishOutput, Output } from "../io/output.ts";
import { sourceOf } from "../io/source.ts";
import { Turns } from "../io/turns.ts";
import { placing } from "../options/broker.ts";
import { answering, declaring, envelope, sharing } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { DEFAULT_LINGER_MS, delivery, ending, exec, input, output, zeromq } from "../options/options.ts";
import { brokerOperand } from "../options/systems.ts";
import { recordWriter, styleOf } from "../records/writer.ts";
import { execResponder, reply, type ZmqRequest } from "../zmq/answer.ts";
import { open, socketOptions } from "../zmq/socket.ts";

const options = {
  ...zeromq,
  ...input,
  ...group("Messages", { echo: flag("--echo", "reply with the request itself") }),
  ...exec,
  ...group("Delivery", {
    linger: delivery.linger,
    hwm: delivery.hwm,
  }),
  ...answering,
  ...envelope,
  ...declaring,
  ...sharing,
  ...placing,
  ...output,
  ...ending,
  ...brokerContext,
};

export default command({
  argument: [
    "[endpoint...]",
    "where to listen; > in front connects; or a queue or topic of a broker: amqp://host//queue, amqp:queue, mqtt:topic",
  ],
  options,
  examples,
  async action({ session, values, operands }) {
    checkWays(values);
    const broker = brokerOperand(session.command, values, operands);
    if (broker !== undefined) {
      const { reply } = await import("../brokers/reply.ts");
      return await reply(session, broker, values);
    }
    const plan = planEndpoints(session.command, "bind", values, operands);
    const responder = responderFor(session, values);
    const socket = new Rep({ ...await socketOptions(session, values), hwm: values.hwm });
    await open(session, socket, plan);
    try {
      await answerAll(session, socket, responder, values.count ?? Infinity, values.timeout);
    } finally {
      reportUnsent(session, await socket.close(values.linger ?? DEFAULT_LINGER_MS));
      await responder.output.drained();
    }
    await finishOutput(session, responder.output);
  },
});

function isFixed({ data, file }: Values<typeof options>): boolean {
  return data.length + file.length > 0;
}

/** @throws {UsageError} the options contradict each other */
function checkWays(values: Values<typeof options>): void {
  const ways = [
    values.echo ? "--echo" : "",
    values.exec === undefined ? "" : "--exec",
    isFixed(values) ? "-D or -F" : "",
  ].filter(Boolean);
  checkExec(values);
  if (values.echo) refuseFormatting("--echo", values);
  if (ways.length > 1) throw new UsageError(`${ways.join(" and ")} are different ways to reply: choose one`);
}

function responderFor(session: Session, values: Values<typeof options>): Responder<ZmqRequest> {
  const output = new Output(session);
  if (values.echo) {
    return { output, jobs: 1, answer: (request) => reply(session, request, request.frames) };
  }
  if (values.exec !== undefined) return execResponder(session, output, values.exec, values);
  const source = sourceOf(session, values, isFixed(values));
  const replies = new Turns(source, framesOf);
  session.onStop(() => source.cancel());
  const writer = recordWriter(output, styleOf(session, values, false));
  return {
    output,
    jobs: 1,
    exhausted: replies.exhausted,
    async answer(request) {
      const shown = Batch.of(request.frames);
      writer.write(shown, 0, shown.frames, request.endpoint);
      if (output.full) await output.drained();
      else output.flush();
      const frames = await replies.next();
      if (frames !== undefined) reply(session, request, frames);
    },
  };
}

function framesOf(batch: Batch): Uint8Array[][] {
  const messages = [];
  for (let at = 0, end = 0; at < batch.frames; at = end) {
    end = batch.messageEnd(at);
    messages.push(batch.copy(at, end));
  }
  return messages;
}
