/**
 * Runs the cases against our broker, and RabbitMQ if it is installed, in parallel, and compares the responses and the
 * recorded responses of RabbitMQ.
 */
import assert from "node:assert/strict";
import process from "node:process";
import type { Recording } from "./recording.ts";

/** The number of cases that run at the same time: many wait for timers. */
const POOL = 8;

/** An intended difference from RabbitMQ; the READMEs of lib/broker list the reasons. */
export interface Difference {
  readonly why: string;
  /** Matches the part that only RabbitMQ sends. It must match, and is removed before the comparison. */
  readonly rabbit?: RegExp;
  /** The same for our broker. */
  readonly ours?: RegExp;
}

/** A script that uses a server. The responses of the servers are compared. */
export interface Comparable {
  readonly name: string;
  readonly differences: readonly Difference[];
}

/** A server that cases run against. */
export interface Server {
  readonly name: string;
}

/** What a comparison needs of a suite. */
export interface Suite<Case extends Comparable, Target extends Server> {
  /** Runs a case. @returns the server's responses as lines */
  run(one: Case, target: Target): Promise<string[]>;
  readonly recording: Recording;
}

/** Runs all cases; the outcome of each can be awaited separately. */
export class Comparison<Case extends Comparable, Target extends Server> {
  readonly #suite: Suite<Case, Target>;
  readonly #oracle: Target | undefined;
  readonly #ours: readonly Target[];
  readonly #left: Case[];
  readonly #outcomes = new Map<Case, PromiseWithResolvers<void>>();

  /** The responses of RabbitMQ, by the name of the case. */
  readonly said: Map<string, readonly string[]> = new Map();

  /** @param oracle RabbitMQ; undefined: the recorded responses are used */
  constructor(
    suite: Suite<Case, Target>,
    cases: readonly Case[],
    oracle: Target | undefined,
    ours: readonly Target[],
  ) {
    this.#suite = suite;
    this.#oracle = oracle;
    this.#ours = ours;
    this.#left = [...cases];
    for (const one of cases) this.#outcomes.set(one, Promise.withResolvers());
    for (let worker = 0; worker < POOL; worker++) void this.#work();
  }

  /**
   * Waits until a case has run against all servers.
   *
   * @throws {AssertionError} the responses differ
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
    const oracle = this.#oracle;
    const { recording } = this.#suite;
    const kept = recording.recorded(one);
    const runs = this.#ours.map((target) => this.#suite.run(one, target));
    const [expected, ...said] = await Promise.allSettled([
      oracle === undefined ? kept : this.#suite.run(one, oracle),
      ...runs,
    ]);
    for (const outcome of [expected!, ...said]) if (outcome.status === "rejected") throw outcome.reason;
    const responses = lines(expected! as PromiseSettledResult<string[]>);
    if (responses === undefined) {
      throw new Error("The case is not recorded: run with RabbitMQ and MQCAT_RECORD=1");
    }
    const right = without(one.differences, "rabbit", responses, "RabbitMQ");
    this.said.set(one.name, responses);
    // A random walk beyond the default number is not recorded.
    if (oracle !== undefined && kept !== undefined && process.env["MQCAT_RECORD"] === undefined) {
      const difference = contrast(without(one.differences, "rabbit", kept, "The recording"), right);
      assert.ok(difference === "", `The recording (-) and ${oracle.name} (+) differ:\n${difference}`);
    }
    for (const [index, target] of this.#ours.entries()) {
      const own = without(
        one.differences,
        "ours",
        lines(said[index] as PromiseSettledResult<string[]>),
        target.name,
      );
      const difference = contrast(right, own);
      assert.ok(difference === "", `RabbitMQ (-) and ${target.name} (+) differ:\n${difference}`);
    }
  }
}

/** Returns the lines between the common start and the common end; an empty text if all lines are equal. */
function contrast(right: readonly string[], own: readonly string[]): string {
  const shorter = Math.min(right.length, own.length);
  let from = 0;
  while (from < shorter && right[from] === own[from]) from++;
  let common = 0;
  while (common < shorter - from && right.at(-1 - common) === own.at(-1 - common)) common++;
  const part = (sign: string, list: readonly string[]) =>
    list.slice(from, list.length - common).map((line) => `${sign} ${line}`);
  return [...part("-", right), ...part("+", own)].join("\n");
}

function lines(outcome: PromiseSettledResult<string[]>): string[] {
  return (outcome as PromiseFulfilledResult<string[]>).value;
}

/** Removes the intended differences from the responses. Fails if a difference does not occur. */
function without(
  differences: readonly Difference[],
  side: "rabbit" | "ours",
  said: readonly string[],
  target: string,
): string[] {
  let text = said.join("\n");
  for (const difference of differences) {
    const pattern = difference[side];
    if (pattern === undefined) continue;
    assert.match(text, pattern, `${target} does not differ: ${difference.why}`);
    const both = difference.rabbit !== undefined && difference.ours !== undefined;
    text = text.replace(pattern, both ? `(${difference.why})` : "");
  }
  return text.split("\n");
}
