import examples from "../../cheats/context-use.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";

export default command({
  argument: [
    "[context]",
    "the context that amqp:NAME, mqtt:TOPIC, stomp:DESTINATION and the queue commands use",
  ],
  options: group("Context", { none: flag("--none", "stop using a context") }),
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ session, values: { none = false }, operands: [name] }) {
    if ((name === undefined) !== none) throw new UsageError("name a context, or give --none");
    const { changeUserConfig } = await import("../../contexts/config.ts");
    const { requireContext } = await import("../../contexts/list.ts");
    await changeUserConfig((config) => {
      if (name !== undefined) requireContext(config, name);
      config.context = name;
    });
    session.reporter.info(name === undefined ? "no context is in use" : `'${name}' is in use`);
  },
});
