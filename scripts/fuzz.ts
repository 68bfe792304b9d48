/**
 * Feeds malformed bytes to everything that reads untrusted input: `deno task fuzz [--seconds N] [--inputs N] [--seed N]
 * [TARGET…]`.
 * A target may only throw errors of the library, and must do so quickly. Any other result is printed with the seed that
 * reproduces it, and the exit code is 1.
 */
import process from "node:process";
import { MqcatError } from "../lib/errors.ts";
import { Chance, mutate } from "./fuzz/mutate.ts";
import type { Target } from "./fuzz/target.ts";
import { targets } from "./fuzz/targets.ts";

/** The longest time that one input may take: of the processor, and on the clock of a busy machine; in milliseconds. */
const TOO_LONG_MS = 2000;
const STALLED_MS = 60_000;

/** The result of one target. */
export interface Findings {
  readonly target: string;
  readonly inputs: number;
  /** The number of inputs that were refused as invalid. */
  readonly refused: number;
  readonly failures: readonly string[];
}

/** Feeds a target until `ms` milliseconds have passed, or `inputs` inputs, or it fails. */
export async function fuzz(target: Target, seed: number, ms: number, inputs = Infinity): Promise<Findings> {
  const end = performance.now() + ms;
  const failures: string[] = [];
  let count = 0;
  let refused = 0;
  const lane = async () => {
    while (count < inputs && performance.now() < end && failures.length === 0) {
      // Each input has its own seed, so that it can be repeated without the inputs before it.
      const own = seed + count++;
      const chance = new Chance(own);
      const input = mutate(chance.of(target.seeds), target.seeds, chance);
      const began = performance.now();
      const before = process.cpuUsage();
      try {
        const running = target.run(input.slice(), chance);
        if (running !== undefined) await running;
      } catch (error) {
        refused++;
        if (!(error instanceof MqcatError)) failures.push(describe(own, input, error));
      }
      const took = performance.now() - began;
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1000 > TOO_LONG_MS || took > STALLED_MS) {
        failures.push(describe(own, input, `it took ${Math.round(took)} ms`));
      }
    }
  };
  await Promise.all(Array.from({ length: target.lanes ?? 1 }, lane));
  return { target: target.name, inputs: count, refused, failures };
}

function describe(seed: number, input: Uint8Array, error: unknown): string {
  const hex = Array.from(input.subarray(0, 2000), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `--seed ${seed}: ${error instanceof Error ? error.stack : error}\n${input.length} bytes: ${hex}`;
}

async function main(words: readonly string[]): Promise<number> {
  const names: string[] = [];
  let seconds: number | undefined;
  let inputs = Infinity;
  let seed = Date.now() % 2 ** 31;
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "--seconds") seconds = Number(words[++i]);
    else if (words[i] === "--inputs") inputs = Number(words[++i]);
    else if (words[i] === "--seed") seed = Number(words[++i]);
    else names.push(words[i]!);
  }
  const chosen = (await targets()).filter(({ name }) =>
    names.length === 0 || names.some((n) => name.includes(n))
  );
  seconds ??= inputs === Infinity ? 60 : Infinity;
  const limits = [seconds < Infinity ? `${seconds} s` : [], inputs < Infinity ? `${inputs} inputs` : []]
    .flat();
  console.log(`seed ${seed}, ${limits.join(" or ")} for each of ${chosen.length} targets`);
  let failed = false;
  for (const target of chosen) {
    const found = await fuzz(target, seed, seconds * 1000, inputs);
    const { refused, failures } = found;
    console.log(
      `${target.name}: ${found.inputs} inputs, ${Math.round(100 * refused / found.inputs)} % refused`,
    );
    for (const failure of failures) console.log(failure);
    failed ||= failures.length > 0;
  }
  return failed ? 1 : 0;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
