import examples from "../../cheats/queue-dump.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import { broker, http } from "../../options/broker.ts";
import { filterOf, where } from "../../options/where.ts";
import { Dump } from "../../queue/dump/dump.ts";
import { checkNames } from "../../queue/existence.ts";
import { httpOf, targetOf, withConnection } from "../../queue/target.ts";

export default command({
  argument: [
    "<file> [queue...]",
    "where to write (.gz compresses, - is stdout); and the queues, as names or patterns with * (default: the whole " +
    "virtual host, with its policies)",
  ],
  options: {
    ...broker,
    ...http,
    ...where,
    ...group("Output", {
      force: flag(
        "--force",
        "replace an existing file; with RabbitMQ, also consume the messages and return them, which marks them as redelivered",
      ),
    }),
  },
  examples,
  async action({ session, values, operands: [path = "", ...operands] }) {
    checkNames([path], "the file");
    checkNames(operands);
    const target = targetOf(session, values);
    const { force = false } = values;
    const filter = await filterOf(values);
    const options = { target, path, operands, force, where: values.where, filter, http: httpOf(values) };
    const dump = new Dump(session, options);
    await withConnection(target, (connection) =>
      dump.run(async () => {
        if (connection.dumps) await (await import("../../queue/dump/own.ts")).dumpOwn(dump, connection);
        else await (await import("../../queue/dump/borrowed.ts")).dumpBorrowed(dump, connection);
      }));
  },
});
