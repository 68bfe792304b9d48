import examples from "../../cheats/queue-restore.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { broker, http } from "../../options/broker.ts";
import { Restore } from "../../queue/dump/restore.ts";
import { checkNames } from "../../queue/existence.ts";
import { httpOf, targetOf, withConnection } from "../../queue/target.ts";

export default command({
  argument: [
    "<file> [queue...]",
    "a file that 'queue dump' has written (- is stdin); and the queues to restore, as names or patterns with * (default: all)",
  ],
  options: { ...broker, ...http },
  examples,
  async action({ session, values, operands: [path = "", ...operands] }) {
    checkNames([path], "the file");
    checkNames(operands);
    const target = targetOf(session, values, true);
    const restore = new Restore(session, { target, path, operands, http: httpOf(values) });
    await restore.check();
    await withConnection(target, (connection) => restore.run(connection));
  },
});
