import assert from "node:assert/strict";
import type { BrokerKind, TestBroker } from "../../support/brokers.ts";
import { type Exit, type Program, run, start, type StartOptions } from "../../support/mqcat.ts";

/** Runs the queue commands against one broker. */
export interface QueueContext {
  readonly test: BrokerKind["test"];
  readonly hasStreams: boolean;
  readonly peeks: boolean;
  broker(): Promise<TestBroker>;
  /** The environment that has the broker's address. */
  env(): Promise<Record<string, string>>;
  /** Runs `mqcat queue …`. */
  queue(args: readonly string[], options?: StartOptions): Promise<Exit>;
  startQueue(args: readonly string[], options?: StartOptions): Promise<Program>;
  /** Runs a command with `-q`; it must succeed and print nothing on stderr. */
  well(args: readonly string[], stdin?: string | Uint8Array): Promise<string>;
  /** The number of ready messages; undefined while the queue does not exist. */
  ready(name: string): Promise<string | undefined>;
}

export function contextOf({ test, broker, hasStreams, peeks }: BrokerKind): QueueContext {
  const env = async () => {
    const { url, http } = await broker();
    return { AMQP_URL: url, AMQP_HTTP_URL: http };
  };
  const queue = async (args: readonly string[], options: StartOptions = {}) =>
    await run(["queue", ...args], { ...options, env: { ...await env(), ...options.env } });
  const startQueue = async (args: readonly string[], options: StartOptions = {}) =>
    start(["queue", ...args], { ...options, env: { ...await env(), ...options.env } });
  const well = async (args: readonly string[], stdin?: string | Uint8Array) => {
    const { code, stdout, stderr } = await queue(args, stdin === undefined ? {} : { stdin });
    assert.deepEqual([code, stderr], [0, ""], args.join(" "));
    return stdout.toString();
  };
  const ready = async (name: string) =>
    /^messages_ready: (\d+)/m.exec((await queue(["info", name, "-q"])).stdout.toString())?.[1];
  return { test, hasStreams, peeks, broker, env, queue, startQueue, well, ready };
}

/** `line 1` to `line count`. */
export function lines(count: number): string {
  return Array.from({ length: count }, (_, i) => `line ${i + 1}\n`).join("");
}
