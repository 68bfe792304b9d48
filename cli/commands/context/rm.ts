import examples from "../../cheats/context-rm.md" with { type: "text" };
import { command } from "../../app/command.ts";

export default command({
  argument: ["<context...>", "the contexts to remove"],
  options: {},
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ session, operands }) {
    const { changeUserConfig } = await import("../../contexts/config.ts");
    const { requireContext } = await import("../../contexts/list.ts");
    await changeUserConfig((config) => {
      for (const name of operands) requireContext(config, name);
      for (const name of operands) config.contexts.delete(name);
      if (operands.includes(config.context ?? "")) config.context = undefined;
    });
    session.reporter.info(`removed ${operands.map((name) => `'${name}'`).join(", ")}`);
  },
});
