/** Scripts against RabbitMQ: what it says is what our broker has to say. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { rabbitMq, stopRabbitMq, test } from "../rabbitmq.ts";
import { type Case, run, type Target } from "./case.ts";
import { binding } from "./cases/binding.ts";
import { channel } from "./cases/channel.ts";
import { connection } from "./cases/connection.ts";
import { exchange } from "./cases/exchange.ts";
import { queue } from "./cases/queue.ts";
import { DEFINITIONS } from "./definitions.ts";

after(stopRabbitMq);

const CASES = [...connection, ...channel, ...exchange, ...binding, ...queue];
/** How many cases run at a time: many wait for what only time brings. */
const POOL = 8;

/** RabbitMQ with the users that the cases need. */
async function oracle(): Promise<Target> {
  const rabbit = await rabbitMq();
  const answer = await rabbit.api("/definitions", "POST", DEFINITIONS);
  assert.equal(answer.status, 204, await answer.text());
  return { name: "RabbitMQ", url: rabbit.url };
}

let outcomes: Promise<Map<Case, Promise<string[]>>> | undefined;

/** Runs all cases, a few at a time; the outcome of each can be waited for. */
async function start(): Promise<Map<Case, Promise<string[]>>> {
  const target = await oracle();
  const left = [...CASES];
  const settled = new Map<Case, Promise<string[]>>();
  const resolvers = new Map<Case, (outcome: Promise<string[]>) => void>();
  for (const one of left) settled.set(one, new Promise((resolve) => resolvers.set(one, resolve)));
  const work = async () => {
    for (let one; (one = left.shift()) !== undefined;) {
      const outcome = run(one, target);
      resolvers.get(one)!(outcome);
      await outcome.catch(() => {});
    }
  };
  for (let worker = 0; worker < POOL; worker++) void work();
  return settled;
}

describe("AMQP behaviour", () => {
  for (const one of CASES) {
    test(one.name, async () => {
      const said = await (await (outcomes ??= start())).get(one)!;
      assert.ok(Array.isArray(said));
    });
  }
});
