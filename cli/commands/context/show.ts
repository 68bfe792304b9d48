import examples from "../../cheats/context-show.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { printPage } from "../../app/page.ts";

export default command({
  argument: ["[context]", "which context (default: the one in use here)"],
  options: {},
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ operands: [given] }) {
    const { chosen, listContexts, requireContext } = await import("../../contexts/list.ts");
    const choice = given === undefined ? chosen() : undefined;
    const name = given ?? choice?.name;
    if (name === undefined) throw new UsageError("no context is in use (try: mqcat context use NAME)");
    const { readUserConfig } = await import("../../contexts/config.ts");
    const found = listContexts().find((context) => context.name === name);
    if (found === undefined) return requireContext(readUserConfig(), name);
    const { inUse: _, ...facts } = found;
    const lines = Object.entries({ ...facts, ...(choice && { "chosen by": choice.by }) });
    printPage(lines.map(([key, value]) => `${key}: ${value}`).join("\n"));
  },
});
