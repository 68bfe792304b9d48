import { RootCommand } from "@bomb.sh/tab";
import examples from "../cheats/completion.md" with { type: "text" };
import { command, describeOptions } from "../app/command.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import { COMMANDS } from "./mod.ts";

const SHELLS = ["bash", "zsh", "fish", "powershell"];

export default command({
  argument: ["<shell>", SHELLS.join(", ")],
  options: {},
  examples,
  action(_values, operands) {
    const shell = operands[0]!;
    if (!SHELLS.includes(shell)) {
      throw new UsageError(`there is no script for '${shell}': there are ${SHELLS.join(", ")}`);
    }
    new RootCommand().setup("mqcat", "mqcat", shell);
    return Promise.resolve(EXIT.done);
  },
});

/** Prints what could stand at the end of `words`; the shell's script calls this at each tab. */
export async function complete(words: string[]): Promise<void> {
  const root = new RootCommand();
  // A name of two words is found behind its first one only.
  root.command("queue", "a message queue at an AMQP broker");
  for (const { name, summary, load } of COMMANDS) {
    const completer = root.command(name, summary);
    for (const { long, short, description, isFlag, words } of describeOptions((await load()).default)) {
      if (isFlag && short === undefined) completer.option(long, description);
      else if (isFlag) completer.option(long, description, short!);
      else completer.option(long, description, (offer) => words.forEach((word) => offer(word, "")), short);
    }
    if (name === "completion") {
      completer.argument("shell", (offer) => SHELLS.forEach((shell) => offer(shell, "")));
    }
  }
  root.parse(words);
}
