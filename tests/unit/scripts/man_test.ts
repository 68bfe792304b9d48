import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Command } from "../../../cli/app/command.ts";
import { COMMANDS } from "../../../cli/commands/mod.ts";
import { manPage } from "../../../scripts/man.ts";

describe("man pages", () => {
  for (const entry of COMMANDS) {
    it(`${entry.name} - has its options, its examples and the exit codes`, async () => {
      const definition: Command = (await entry.load()).default;
      const page = manPage(entry, definition);
      for (const { flags } of Object.values(definition.options)) {
        assert.ok(page.includes(`.B ${flags.replaceAll("-", "\\-")}\n`), flags);
      }
      assert.match(page, /^\.TH "MQCAT-/);
      assert.match(page, /\.SH EXAMPLES\n(?:.*\n)*\.nf\n(?:.*\n)*\.SH EXIT STATUS\n/);
      // Only known macros start a line, so no text is mistaken for a macro.
      const macros = page.split("\n").filter((line) => /^[.']/.test(line)).map((line) =>
        line.slice(0, 3).trim()
      );
      for (const macro of macros) {
        assert.ok([".TH", ".SH", ".TP", ".PP", ".B", ".nf", ".fi", ".RS", ".RE"].includes(macro), macro);
      }
    });
  }
});
