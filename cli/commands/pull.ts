import { Pull } from "../../lib/zmq/types/pull.ts";
import examples from "../cheats/pull.md" with { type: "text" };
import { command } from "../app/command.ts";
import { checkExec } from "../io/exec.ts";
import { placing } from "../options/broker.ts";
import { consuming, declaring, prefetch, quality, retries, sharing } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { conflation, ending, exec, output, receiving, zeromq } from "../options/options.ts";
import { brokerOperand } from "../options/systems.ts";
import { filterOf, selecting } from "../options/where.ts";
import { styleOf } from "../records/writer.ts";
import { receiveAll } from "../zmq/receive.ts";
import { open, socketOptions } from "../zmq/socket.ts";

export default command({
  argument: [
    "[endpoint...]",
    "where to listen; > in front connects; or the queue of a broker: amqp://host//queue, amqp:queue",
  ],
  options: {
    ...zeromq,
    ...selecting,
    ...output,
    ...ending,
    ...receiving,
    ...conflation,
    ...exec,
    ...prefetch,
    ...retries,
    ...consuming,
    ...declaring,
    ...quality,
    ...sharing,
    ...placing,
    ...brokerContext,
  },
  examples,
  async action({ session, values, operands }) {
    const broker = brokerOperand(session.command, values, operands);
    if (broker !== undefined) {
      const { pull } = await import("../brokers/receive.ts");
      return await pull(session, broker, values);
    }
    const plan = planEndpoints(session.command, "bind", values, operands);
    checkExec(values);
    const style = styleOf(session, values, false);
    const socket = new Pull(await socketOptions(session, values));
    const filter = await filterOf(values);
    await Promise.all([
      receiveAll(session, socket, style, { ...values, filter }),
      open(session, socket, plan),
    ]);
  },
});
