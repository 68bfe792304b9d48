/** Runs the examples of the help pages. */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { tempDir } from "../../support/helpers.ts";
import { run, shell } from "../../support/mqcat.ts";
import type { QueueContext } from "./context.ts";

const CHEATS = fileURLToPath(new URL("../../../cli/cheats/", import.meta.url));

export function cheats({ broker, peeks, test }: QueueContext): void {
  // RabbitMQ traces nothing until an operator turns that on.
  const others = peeks ? /^queue-(?!serve|run|page)/ : /^queue-(?!serve|run|page|trace)/;
  for (const file of fs.readdirSync(CHEATS).filter((name) => others.test(name)).sort()) {
    test(`${file} - ends the help page, and its examples print the expected output`, async () => {
      const text = fs.readFileSync(`${CHEATS}${file}`, "utf8");
      const help = await run(["queue", file.slice("queue-".length, -".md".length), "--help-all"]);
      const vhost = file.replace(".md", "");
      const { url, api } = await withVhost(broker, vhost);
      // Examples are indented by four spaces; the block after "It prints:" is the expected output.
      const blocks = text.split(/\n\n+/).filter((block) =>
        block.startsWith("    ") || block === "It prints:"
      );
      for (const [at, block] of blocks.entries()) {
        if (block !== "It prints:") assert.ok(help.stdout.toString().includes(block.trimEnd()), block);
        if (block === "It prints:" || blocks[at - 1] === "It prints:") continue;
        // RabbitMQ reports the number of messages after a while.
        const isCounted = peeks || !block.includes("queue top");
        const expected = blocks[at + 1] === "It prints:" && isCounted
          ? `${unindent(blocks[at + 2]!)}\n`
          : undefined;
        // It has no filters: the help says that --force is needed there.
        const script = peeks ? unindent(block) : unindent(block).replaceAll("--where ", "--force --where ");
        using dir = tempDir();
        using bash = shell(`set -e\n${script}`, {
          cwd: dir.path,
          env: { AMQP_URL: url, AMQP_HTTP_URL: api },
        });
        const { code, stdout, stderr } = await bash.exit();
        assert.equal(code, 0, `${block}\n${stderr}`);
        if (expected !== undefined) assert.equal(stdout.toString(), expected, `${block}\n${stderr}`);
      }
    });
  }
}

/** Each run has its own virtual host, so that runs of the same example cannot conflict. */
async function withVhost(
  broker: QueueContext["broker"],
  name: string,
): Promise<{ url: string; api: string }> {
  const { url, http, addVhost } = await broker();
  const vhost = `${name}-${process.pid}`;
  await addVhost(vhost);
  return { url: `${url}/${vhost}`, api: http };
}

function unindent(block: string): string {
  return block.trimEnd().split("\n").map((line) => line.slice(4)).join("\n");
}
