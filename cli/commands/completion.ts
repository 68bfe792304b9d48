import { RootCommand } from "@bomb.sh/tab";
import examples from "../cheats/completion.md" with { type: "text" };
import { command, type CommandEntry, describeOptions } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";

const SHELLS = ["bash", "zsh", "fish", "powershell"];

export default command({
  argument: ["<shell>", SHELLS.join(", ")],
  options: {},
  diagnostics: [],
  examples,
  action({ operands: [shell = ""] }) {
    if (!SHELLS.includes(shell)) {
      throw new UsageError(`there is no script for '${shell}': there are ${SHELLS.join(", ")}`);
    }
    new RootCommand().setup("mqcat", "mqcat", shell);
  },
});

/** Prints the completions of the last word; the shell script calls this at each press of Tab. */
export async function complete(words: string[], commands: readonly CommandEntry[]): Promise<void> {
  const root = new RootCommand();
  // A name of two words is found only after its first word.
  root.command("queue", "a message queue at an AMQP broker");
  for (const { name, summary, load } of commands) {
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
