/** One command at one queue while one fault happens, and its ledger. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { type Exit, PATIENCE, type Program, start, summaryOf } from "../../support/mqcat.ts";
import type { Auditor, Kind } from "./auditor.ts";
import { type Command, type CommandName, COMMANDS, EXCHANGE, type Place } from "./commands.ts";

/** The maximum time for a command to end after a fault is over, in milliseconds. */
const END_MS = 120_000;
/** The maximum time that a command may take longer than its `-w`: to start, on a loaded machine. In milliseconds. */
const SLACK_MS = 20_000;
/** Words that are false while the queue exists, is not full, and has messages. */
const FALSE_WORDS = /there is no queue|does not exist|was deleted|is full|is empty/;
/** The exit codes of commands whose queue is away for too long: timeout, refused, not everything was delivered. */
const GIVEN_UP = [3, 4, 5];
/** Those of commands whose queue was deleted. */
const DELETED = [1, 5];

/** What a ledger counted. */
export interface Counts {
  /** The lines that the command regards as done. */
  readonly certain: number;
  readonly duplicated: number;
}

/** How a cell is run. */
export interface CellOptions {
  readonly command: CommandName;
  readonly type: Kind;
  /** Distinguishes the queues of the rounds. */
  readonly round: string;
  readonly url: string;
  /** The limit `-w` in seconds: the command starts during the fault, and has to end in this time. */
  readonly limit?: number | undefined;
}

export class Cell implements Disposable {
  readonly name: string;
  readonly type: Kind;
  /** The queues to declare. */
  readonly queues: readonly string[];
  readonly limit: number | undefined;
  /** Whether an earlier step failed. */
  failed = false;
  /** Whether the command had ended before the fault: then only its ledger says something. */
  wasEarly = false;
  readonly #auditor: Auditor;
  readonly #command: Command;
  readonly #place: Place;
  readonly #lines: readonly string[];
  #program: Program | undefined;
  #peer: Program | undefined;
  #startedAt = 0;

  constructor(auditor: Auditor, { command, type, round, url, limit }: CellOptions) {
    this.name = `${command} at ${type}${limit === undefined ? "" : ` -w ${limit}s`}`;
    this.type = type;
    this.limit = limit;
    this.#auditor = auditor;
    this.#command = COMMANDS[command];
    const queue = `${type}.${command}.${round}${limit === undefined ? "" : ".late"}`;
    this.#place = { queue, other: `${queue}.other`, url };
    const hasOther = (this.#command.places as readonly string[]).includes("other");
    this.queues = type === "exchange" ? [] : hasOther ? [queue, this.#place.other] : [queue];
    const count = limit === undefined ? this.#command.lines : Math.min(100, this.#command.lines);
    this.#lines = Array.from({ length: count }, (_, i) => String(i));
  }

  /** Fills the queue. */
  async prepare(): Promise<void> {
    const { reads, subscribes } = this.#command;
    if (reads || subscribes) return;
    await this.#auditor.fill(this.#place.queue, this.#lines, this.#command.headers?.(this.#place));
  }

  /** Starts the command; without a limit it waits until it is in the middle of its work, and freezes it there. */
  async start(): Promise<void> {
    const { args, reads, peer } = this.#command;
    const isLate = this.limit !== undefined;
    const half = this.#lines.slice(0, isLate ? this.#lines.length : this.#lines.length / 2);
    if (peer !== undefined) this.#peer = start(peer(this.#place));
    const limit = isLate ? ["-w", `${this.limit}s`] : [];
    const input = reads ? { open: !isLate, stdin: half.map((line) => `${line}\n`).join("") } : {};
    this.#startedAt = performance.now();
    this.#program = start([...args(this.#place), ...limit, "--summary"], input);
    if (isLate) return;
    if (this.#command.subscribes) await this.#auditor.publish(EXCHANGE, this.#place.queue, half);
    await waitFor(() => this.#isInProgress(half.length), PATIENCE, `${this.name} to work`);
    // On a fast machine it may have ended: its ledger is checked nevertheless.
    this.#program.kill("SIGSTOP");
  }

  /** Lets the command continue, with more input: the fault has happened. */
  proceed(): void {
    this.wasEarly = this.#program!.code !== undefined;
    this.#program!.kill("SIGCONT");
    if (!this.#command.reads) return;
    this.#program!.write(this.#lines.slice(this.#lines.length / 2).map((line) => `${line}\n`).join(""));
  }

  /** Waits until a command with a limit has ended, and checks the time. */
  async endInTime(): Promise<void> {
    await this.#program!.exit(END_MS);
    const took = performance.now() - this.#startedAt;
    assert.ok(
      took < this.limit! * 1000 + SLACK_MS,
      `it took ${Math.round(took)} ms: ${this.#program!.stderr}`,
    );
  }

  /** Waits for the end of the command after the fault is over, and checks its exit code, its words and its ledger. */
  async finish(): Promise<Counts> {
    const exit = await this.#end();
    const codes = this.limit === undefined ? [0] : [0, ...GIVEN_UP];
    assert.ok(codes.includes(exit.code), `exit code ${exit.code}: ${exit.stderr}`);
    assert.doesNotMatch(exit.stderr, FALSE_WORDS);
    return await this.#audit(exit);
  }

  /** Does the same after the queues were deleted. */
  async finishDeleted(): Promise<Counts> {
    const { code, stdout, stderr } = await this.#end();
    if (code === 0) {
      // It had finished before its queue was deleted.
      const { sent = 0, received = 0 } = summaryOf(stderr);
      assert.ok(Math.max(sent, received) >= this.#lines.length, `exit code 0: ${stderr}`);
    } else {
      assert.ok(DELETED.includes(code), `exit code ${code}: ${stderr}`);
      assert.match(stderr, /there is no queue|does not exist|was deleted/);
    }
    for (const queue of this.queues) {
      assert.equal(await this.#auditor.exists(queue), false, `'${queue}' is there`);
    }
    // It may have ended before it read the second half of its input.
    return this.#balance({ code, stdout, stderr }, [this.#lines.length / 2, this.#lines.length]);
  }

  [Symbol.dispose](): void {
    this.#program?.[Symbol.dispose]();
    this.#peer?.[Symbol.dispose]();
  }

  async #isInProgress(given: number): Promise<boolean> {
    const { places, subscribes } = this.#command;
    if (subscribes) return linesOf(this.#program!).length === given;
    if (places[0] === "stdout") return this.#program!.stdout.length > 0;
    if (places[1] === "other") return await this.#auditor.count(this.#place.other) > 0;
    return await this.#auditor.count(this.#place.queue) === given;
  }

  async #end(): Promise<Exit> {
    const rest = this.#lines.slice(this.#lines.length / 2);
    if (this.#command.subscribes) await this.#auditor.publish(EXCHANGE, this.#place.queue, rest);
    if (this.#command.reads && this.limit === undefined) this.#program!.end();
    const exit = await this.#program!.exit(END_MS);
    this.#peer?.[Symbol.dispose]();
    return exit;
  }

  /** Compares the lines in all places where they may be with the numbers that the command reports. */
  async #audit(exit: Exit): Promise<Counts> {
    const { places, empties, reads } = this.#command;
    const found: string[] = [];
    for (const place of places) {
      const lines = place === "stdout" ? linesOf(exit) : await this.#contents(this.#place[place]);
      if (place === "queue" && empties && exit.code === 0) {
        assert.equal(lines.length, 0, "exit code 0, and messages are left");
      }
      found.push(...lines);
    }
    const distinct = new Set(found);
    const { certain } = this.#balance(exit);
    const arrived = this.#lines.filter((line) => distinct.has(line)).length;
    const lost = Math.max(0, (reads ? certain : this.#lines.length) - arrived);
    assert.equal(lost, 0, `${lost} lines are lost: ${exit.stderr}`);
    return { certain, duplicated: found.length - distinct.size };
  }

  /**
   * Checks that the input of a command is confirmed, or reported as not delivered.
   *
   * @param given the possible numbers of lines that it has read
   */
  #balance({ code, stderr }: Exit, given: readonly number[] = [this.#lines.length]): Counts {
    const { places, reads } = this.#command;
    const { sent = 0, unsent = 0, received = 0, confirmed = 0 } = summaryOf(stderr);
    const certain = places[0] === "stdout" ? received : confirmed;
    // A command that does not get to its queue in time has not read its input.
    const isIdle = code !== 0 && sent + unsent === 0;
    if (reads && !isIdle) {
      assert.ok(
        given.includes(certain + unsent),
        `${certain} + ${unsent} of ${given.at(-1)} lines: ${stderr}`,
      );
    }
    if (code === 0) assert.equal(unsent, 0, stderr);
    return { certain, duplicated: 0 };
  }

  async #contents(queue: string): Promise<string[]> {
    return this.type === "stream" ? await this.#auditor.read(queue) : await this.#auditor.take(queue);
  }
}

function linesOf({ stdout }: Pick<Exit, "stdout">): string[] {
  return stdout.toString().split("\n").slice(0, -1);
}
