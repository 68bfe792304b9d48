/** Runs the cases against RabbitMQ and our broker, side by side, and tells whether both said the same. */
import assert from "node:assert/strict";
import { type Case, type Difference, run, type Target } from "./case.ts";

/** How many cases run at a time: many wait for what only time brings. */
const POOL = 8;

/** All cases under way; each one's outcome can be waited for by itself. */
export class Comparison {
  readonly #oracle: Target;
  readonly #ours: readonly Target[];
  readonly #left: Case[];
  readonly #outcomes = new Map<Case, PromiseWithResolvers<void>>();

  constructor(cases: readonly Case[], oracle: Target, ours: readonly Target[]) {
    this.#oracle = oracle;
    this.#ours = ours;
    this.#left = [...cases];
    for (const one of cases) this.#outcomes.set(one, Promise.withResolvers());
    for (let worker = 0; worker < POOL; worker++) void this.#work();
  }

  /**
   * Waits until a case has run against all.
   *
   * @throws {AssertionError} they did not say the same
   */
  outcome(one: Case): Promise<void> {
    return this.#outcomes.get(one)!.promise;
  }

  async #work(): Promise<void> {
    for (let one; (one = this.#left.shift()) !== undefined;) {
      const { promise, resolve } = this.#outcomes.get(one)!;
      resolve(this.#compare(one));
      await promise.catch(() => {});
    }
  }

  async #compare(one: Case): Promise<void> {
    const runs = [this.#oracle, ...this.#ours].map((target) => run(one, target));
    const [expected, ...said] = await Promise.allSettled(runs);
    for (const outcome of [expected!, ...said]) if (outcome.status === "rejected") throw outcome.reason;
    const right = without(one.differences, "rabbit", lines(expected!), this.#oracle);
    for (const [index, target] of this.#ours.entries()) {
      const own = without(one.differences, "ours", lines(said[index]!), target);
      const difference = contrast(right, own);
      assert.ok(difference === "", `${this.#oracle.name} (-) and ${target.name} (+) differ:\n${difference}`);
    }
  }
}

/** The lines between what both begin and end with; nothing when they are the same. */
function contrast(right: readonly string[], own: readonly string[]): string {
  const shorter = Math.min(right.length, own.length);
  let from = 0;
  while (from < shorter && right[from] === own[from]) from++;
  let behind = 0;
  while (behind < shorter - from && right.at(-1 - behind) === own.at(-1 - behind)) behind++;
  const part = (sign: string, list: readonly string[]) =>
    list.slice(from, list.length - behind).map((line) => `${sign} ${line}`);
  return [...part("-", right), ...part("+", own)].join("\n");
}

function lines(outcome: PromiseSettledResult<string[]>): string[] {
  return (outcome as PromiseFulfilledResult<string[]>).value;
}

/** What was said, without what differs on purpose; a difference that is none is told. */
function without(
  differences: readonly Difference[],
  side: "rabbit" | "ours",
  said: readonly string[],
  target: Target,
): string[] {
  let text = said.join("\n");
  for (const difference of differences) {
    const pattern = difference[side];
    if (pattern === undefined) continue;
    assert.match(text, pattern, `${target.name} does not differ: ${difference.why}`);
    const both = difference.rabbit !== undefined && difference.ours !== undefined;
    text = text.replace(pattern, both ? `(${difference.why})` : "");
  }
  return text.split("\n");
}
