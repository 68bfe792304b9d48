import path from "node:path";
import examples from "../../cheats/context-allow.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { PROJECT_FILE, projectFile } from "../../contexts/files.ts";

export default command({
  argument: ["[file]", "the file, or its folder (default: the nearest .mqcat.toml)"],
  options: {},
  diagnostics: ["quiet", "logFormat"],
  examples,
  async action({ session, operands: [given] }) {
    const file = given === undefined
      ? projectFile()
      : given.endsWith(PROJECT_FILE)
      ? given
      : path.join(given, PROJECT_FILE);
    if (file === undefined) throw new UsageError(`there is no ${PROJECT_FILE} in this folder or above it`);
    const { changeUserConfig } = await import("../../contexts/config.ts");
    const { allow } = await import("../../contexts/trust.ts");
    const { contexts } = await changeUserConfig((config) => allow(config, file));
    const commands = [...contexts].filter(([, entries]) => entries["password-command"] !== undefined);
    const runs = commands.length === 0
      ? ""
      : `; it runs a command for the password of ${commands.map(([name]) => name).join(", ")}`;
    session.reporter.info(`allowed '${file}' until it changes${runs}`);
  },
});
