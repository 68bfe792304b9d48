/** A short run of scripts/fuzz.ts with a new seed each time: untrusted bytes cause only errors of the library. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fuzz } from "../../scripts/fuzz.ts";
import { targets } from "../../scripts/fuzz/targets.ts";

/** The limits for each target, in milliseconds and in inputs. */
const SPAN = 250;
const INPUTS = 20_000;

const all = await targets();

describe("fuzz", () => {
  for (const target of all) {
    it(
      `${target.name} - malformed bytes are refused with an error of the library, or are valid`,
      { timeout: 60_000 },
      async () => {
        const { inputs, refused, failures } = await fuzz(
          target,
          Math.floor(Math.random() * 2 ** 31),
          SPAN,
          INPUTS,
        );
        assert.deepEqual(failures, []);
        assert.ok(inputs > 0 && refused <= inputs);
      },
    );
  }
});
