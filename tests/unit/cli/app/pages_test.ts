import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nearest } from "../../../../cli/app/nearest.ts";
import { commandPage, markdownPage, namesPage } from "../../../../cli/app/pages.ts";
import { EXIT_MEANINGS } from "../../../../cli/app/errors.ts";
import { type Style, wrap } from "../../../../cli/app/terminal.ts";
import type { Choice } from "../../../../cli/app/values.ts";
import { COMMANDS } from "../../../../cli/commands/mod.ts";
import { TOPICS, topicText } from "../../../../cli/help/topics.ts";

const plain = (width: number): Style => ({ width, bold: (text) => text });

/** Options with a choice of words that have no default: without them, the feature is off or must be named. */
const NO_DEFAULT = ["--pattern"];

describe("pages of help", () => {
  for (const entry of COMMANDS) {
    it(`${entry.name} - the short page fits two screens, and no text is wider than the screen`, async () => {
      const { default: definition } = await entry.load();
      const short = commandPage(entry, definition, plain(80), false).split("\n");
      assert.ok(short.length <= 2 * 50, `${short.length} lines`);
      for (const width of [60, 80, 100]) {
        const lines = commandPage(entry, definition, plain(width), true).split("\n");
        const wide = lines.filter((line) =>
          line.length > width && !line.startsWith("    ") && !/^Usage/.test(line)
        );
        assert.deepEqual(wide, [], `width ${width}`);
      }
    });

    it(`${entry.name} - each option that chooses among words shows its default`, async () => {
      const { options } = (await entry.load()).default;
      for (const { flags, description, parse } of Object.values(options)) {
        if ((parse as Choice).words === undefined || NO_DEFAULT.some((name) => flags.includes(name))) {
          continue;
        }
        assert.match(description, /default/, flags);
      }
    });

    it(`${entry.name} - the long page has each option, and the short one those that are not rare`, async () => {
      const { default: definition } = await entry.load();
      const [short, long] = [false, true].map((all) => commandPage(entry, definition, plain(100), all));
      for (const { flags, rare = false } of Object.values(definition.options)) {
        assert.ok(long!.includes(`  ${flags}`), flags);
        assert.equal(short!.includes(`  ${flags}`), !rare, flags);
      }
    });
  }

  it("proxy - the table in the examples keeps its lines", async () => {
    const entry = COMMANDS.find(({ name }) => name === "proxy")!;
    const page = commandPage(entry, (await entry.load()).default, plain(80), true);
    assert.match(page, /^ {2}--pattern .*\n {2}pubsub .*\n {2}pushpull .*\n/m);
  });

  it("push - the short page fits two screens of 40 lines", async () => {
    const entry = COMMANDS.find(({ name }) => name === "push")!;
    const lines = commandPage(entry, (await entry.load()).default, plain(80), false).split("\n");
    assert.ok(lines.length <= 2 * 40, `${lines.length} lines`);
  });

  it("the names of all commands fit a screen with the rest of the first page", () => {
    assert.ok(namesPage(COMMANDS, plain(80)).split("\n").length <= 13);
  });

  it("topics - all have a text; that of the exit codes has each of them", async () => {
    for (const topic of TOPICS) {
      const page = markdownPage((await topicText(topic))!, plain(70));
      const wide = page.split("\n").filter((line) => line.length > 70 && !line.startsWith("    "));
      assert.deepEqual(wide, [], topic);
    }
    const codes = await topicText("exit-codes");
    for (const [code] of EXIT_MEANINGS) assert.ok(codes!.includes(`\n- ${code}: `), code);
  });

  it("wrap - keeps long words whole, and indents the following lines", () => {
    assert.equal(wrap("one two three", 7, 2, 0), "one two\n  three");
    assert.equal(wrap("extraordinary a b", 4), "extraordinary\na b");
  });

  it("nearest - a swap of letters is one mistake", () => {
    assert.equal(nearest("puhs", ["pub", "push", "pull"]), "push");
    assert.equal(nearest("sbu", ["pub", "sub"]), "sub");
    assert.equal(nearest("frobnicate", ["pub", "sub"]), undefined);
  });
});
