/** The entry point. It prints the version without loading the program: scripts ask for it at each start. */
import process from "node:process";
import denoJson from "../deno.json" with { type: "json" };

const VERSION_WORDS = ["-V", "--version", "version"];
/** The oldest Node that has all that the program uses; the newer runtimes report the version of Node that they resemble. */
const OLDEST_NODE = [20, 19] as const;

async function main(words: string[]): Promise<number> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < OLDEST_NODE[0] || major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]) {
    console.error(
      `mqcat: Node ${process.versions.node} is too old: mqcat needs Node ${OLDEST_NODE.join(".")} or later`,
    );
    return 1;
  }
  if (!VERSION_WORDS.includes(words[0] ?? "")) {
    const program = await import("./program.ts");
    return await program.main(words);
  }
  const { printPage } = await import("./app/page.ts");
  try {
    if (words.length > 1) {
      const { UsageError } = await import("./app/errors.ts");
      throw new UsageError(`${words[0]} takes no other words, received '${words[1]}'`);
    }
    printPage(`mqcat ${denoJson.version}`);
    return 0;
  } catch (error) {
    const { fail } = await import("./program.ts");
    return fail("", error);
  }
}

// Not `await`: `bun build --bytecode` cannot compile a module that waits at its top level.
main(process.argv.slice(2)).then(process.exit);
