import { RootCommand } from "@bomb.sh/tab";
import examples from "../cheats/completion.md" with { type: "text" };
import { command, type CommandEntry, describeOptions } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { printPage } from "../app/page.ts";

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
    printed(() => new RootCommand().setup("mqcat", "mqcat", shell));
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
  printed(() => root.parse(words));
}

/** Prints what the package writes to the console, which ignores a full disk on some runtimes. */
function printed(work: () => void): void {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...values: unknown[]) => void lines.push(values.map(String).join(" "));
  try {
    work();
  } finally {
    console.log = log;
  }
  if (lines.length > 0) printPage(lines.join("\n"));
}
