/**
 * Compares our broker, in memory and on disk, with RabbitMQ as the oracle: the same scripts run against both, and the
 * responses must be equal, except for the differences that a case names. Where RabbitMQ is not installed, the recorded
 * responses are the oracle; where it is, they are compared as well.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { after, describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { importDefinitions } from "../../../lib/broker/core/definitions/import.ts";
import { tempDir } from "../../support/helpers.ts";
import { isInstalled, rabbitMq, stopRabbitMq, test } from "../../support/rabbitmq.ts";
import type { Target } from "./case.ts";
import { CASES } from "./cases/mod.ts";
import { Comparison } from "./compare.ts";
import { DEFINITIONS } from "./definitions.ts";
import { record, recordedServer } from "./recording.ts";
import { compareHttp } from "./http_requests.ts";
import { comparePolicies } from "./policy_requests.ts";

const dir = tempDir();
const brokers: Broker[] = [];

after(async () => {
  await Promise.all([stopRabbitMq(), ...brokers.map((broker) => broker.close())]);
  dir.remove();
});

/** Starts RabbitMQ with the users of the cases, if it is installed. */
async function oracle(): Promise<Target | undefined> {
  if (!isInstalled) return undefined;
  const rabbit = await rabbitMq();
  const answer = await rabbit.api("/definitions", "POST", DEFINITIONS);
  assert.equal(answer.status, 204, await answer.text());
  return { name: "RabbitMQ", url: rabbit.url };
}

async function ours(name: string, options: Parameters<typeof Broker.open>[0]): Promise<Target> {
  const broker = await Broker.open(options);
  brokers.push(broker);
  importDefinitions(broker.core, DEFINITIONS);
  return { name, url: await broker.listen("amqp://127.0.0.1:0") };
}

let comparison: Promise<Comparison> | undefined;

async function start(): Promise<Comparison> {
  const [rabbit, ...own] = await Promise.all([
    oracle(),
    ours("ours in memory", {}),
    ours("ours on disk", { data: dir.path, sync: "flush" }),
  ]);
  return new Comparison(CASES, rabbit, own);
}

describe("AMQP behaviour", () => {
  it("differences - the README lists exactly the differences of the cases", () => {
    const readme = fs.readFileSync(new URL("../../../lib/broker/README.md", import.meta.url), "utf8");
    const [, table] = readme.split("## Differences from RabbitMQ 3.10.8");
    const listed = [...table!.matchAll(/^\| (.*?) \| /gm)].map(([, difference]) => difference!).slice(1);
    const met = CASES.flatMap(({ differences }) => differences.map(({ why }) => why));
    assert.deepEqual(listed.sort(), [...new Set(met)].sort());
  });

  for (const one of CASES) {
    it(one.name, async () => {
      await (await (comparison ??= start())).outcome(one);
    });
  }

  test("recording - RabbitMQ's version is that of the recorded responses", async () => {
    const overview = await (await (await rabbitMq()).api("/overview")).json() as { rabbitmq_version: string };
    const server = `RabbitMQ ${overview.rabbitmq_version}`;
    const { said } = await (comparison ??= start());
    if (process.env["MQCAT_RECORD"] === undefined) assert.equal(server, recordedServer(CASES[0]!));
    else record(server, new Map(CASES.map(({ name }) => [name, said.get(name) ?? []])));
  });
});

describe("HTTP behaviour", () => {
  test("http - has the statuses and the members of RabbitMQ's responses", async () => {
    const broker = await Broker.open();
    brokers.push(broker);
    // Both have the same users.
    importDefinitions(broker.core, DEFINITIONS);
    await oracle();
    await compareHttp((await rabbitMq()).http, await broker.listenHttp(":0"));
  });

  test("policies, limits and topic permissions - have the answers and the effects of RabbitMQ's", async () => {
    const broker = await Broker.open();
    brokers.push(broker);
    const ours = { url: await broker.listen("amqp://127.0.0.1:0"), http: await broker.listenHttp(":0") };
    await comparePolicies(await rabbitMq(), ours);
  });
});
