import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import type { Command } from "../../../cli/app/command.ts";
import { EXIT_MEANINGS } from "../../../cli/app/errors.ts";
import { COMMANDS } from "../../../cli/commands/mod.ts";
import { TOPICS } from "../../../cli/help/topics.ts";
import { mainPage, manPage, writeManPages } from "../../../scripts/man.ts";
import { requirePeer, tempDir } from "../../support/helpers.ts";

const MACROS = [
  ".TH",
  ".SH",
  ".TP",
  ".PP",
  ".IP",
  ".B",
  ".BR",
  ".nf",
  ".fi",
  ".RS",
  ".RE",
  ".TS",
  ".TE",
  `'\\"`,
];

/** Checks that only known macros start a line, so that no text is mistaken for a macro. */
function checkMacros(page: string): void {
  const lines = page.replaceAll("\\\n", "").split("\n");
  for (const line of lines.filter((line) => /^[.']/.test(line))) {
    assert.ok(MACROS.includes(line.split(" ")[0]!), line);
  }
}

/** Checks that the exit codes are a table. */
function checkExitStatus(page: string): void {
  const table = /\.SH EXIT STATUS\n\.TS\n.*\n([^]*?)\.TE\n/.exec(page)?.[1] ?? "";
  assert.deepEqual(
    table.trimEnd().split("\n").map((row) => row.split("\t")[0]),
    EXIT_MEANINGS.map(([code]) => code),
  );
}

describe("man pages", () => {
  for (const entry of COMMANDS) {
    it(`${entry.name} - has its options, its examples and the exit codes`, async () => {
      const definition: Command = (await entry.load()).default;
      const page = manPage(entry, definition);
      for (const { flags } of Object.values(definition.options)) {
        assert.ok(page.includes(`.B ${flags.replaceAll("-", "\\-")}\n`), flags);
      }
      assert.match(page, /^'\\" t\n\.TH "MQCAT-.*" 1 \d{4}-\d\d-\d\d "mqcat [\d.]+"\n/);
      assert.match(page, /\.SH EXAMPLES\n(?:.*\n)*\.nf\n(?:.*\n)*\.SH EXIT STATUS\n/);
      checkMacros(page);
      checkExitStatus(page);
    });
  }

  it("mqcat - has the commands, the topics and the exit codes", async () => {
    const page = await mainPage();
    for (const { name } of COMMANDS) assert.ok(page.includes(`\n.B ${name.replaceAll("-", "\\-")}\n`), name);
    for (const topic of TOPICS) {
      if (topic !== "exit-codes") assert.ok(page.includes(`\n.SH ${topic.toUpperCase()}\n`), topic);
    }
    checkMacros(page);
    checkExitStatus(page);
  });

  requirePeer("mandoc")("mandoc -Tlint - finds nothing in any page", async () => {
    using folder = tempDir();
    const files = await writeManPages(`${folder.path}/`);
    assert.equal(files.length, COMMANDS.length + 1);
    const { status, stdout, stderr } = spawnSync("mandoc", ["-Tlint", ...files], { encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });
});
