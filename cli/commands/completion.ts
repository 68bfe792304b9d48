import examples from "../cheats/completion.md" with { type: "text" };
import { command } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { printPage } from "../app/page.ts";

const SCRIPTS: Readonly<Record<string, () => Promise<{ readonly default: string }>>> = {
  bash: () => import("../completion/scripts/bash.txt", { with: { type: "text" } }),
  zsh: () => import("../completion/scripts/zsh.txt", { with: { type: "text" } }),
  fish: () => import("../completion/scripts/fish.txt", { with: { type: "text" } }),
  powershell: () => import("../completion/scripts/powershell.txt", { with: { type: "text" } }),
};
const SHELLS = Object.keys(SCRIPTS);

export default command({
  argument: ["<shell>", SHELLS.join(", ")],
  choices: { shell: SHELLS },
  options: {},
  diagnostics: [],
  examples,
  async action({ operands: [shell = ""] }) {
    const load = SCRIPTS[shell];
    if (load === undefined) {
      throw new UsageError(`there is no script for '${shell}': there are ${SHELLS.join(", ")}`);
    }
    printPage((await load()).default);
  },
});
