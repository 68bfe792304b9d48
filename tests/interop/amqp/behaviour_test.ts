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
import { type Case, run, type Target } from "./case.ts";
import { CASES } from "./cases/mod.ts";
import { Comparison } from "../oracle/compare.ts";
import { DEFINITIONS } from "./definitions.ts";
import { Recording } from "../oracle/recording.ts";
import type { Target as StompTarget } from "../stomp/case.ts";
import { stompBehaviour } from "../stomp/suite.ts";
import { compareHttp } from "./http_requests.ts";
import { comparePolicies } from "./policy_requests.ts";

const dir = tempDir();
const brokers: Broker[] = [];

after(async () => {
  await Promise.all([stopRabbitMq(), ...brokers.map((broker) => broker.close())]);
  dir.remove();
});

/** Starts RabbitMQ with the users of the cases, if it is installed. */
async function oracle(): Promise<StompTarget | undefined> {
  if (!isInstalled) return undefined;
  // The STOMP suite uses the same RabbitMQ.
  const rabbit = await rabbitMq();
  const answer = await rabbit.api("/definitions", "POST", DEFINITIONS);
  assert.equal(answer.status, 204, await answer.text());
  return { name: "RabbitMQ", url: rabbit.url, stomp: rabbit.stomp! };
}

async function ours(name: string, options: Parameters<typeof Broker.open>[0]): Promise<StompTarget> {
  const broker = await Broker.open(options);
  brokers.push(broker);
  importDefinitions(broker.core, DEFINITIONS);
  const url = await broker.listen("amqp://127.0.0.1:0");
  return { name, url, stomp: await broker.listen("stomp://127.0.0.1:0") };
}

const recording = new Recording(new URL("./transcripts/", import.meta.url));
let targets: Promise<[StompTarget | undefined, ...StompTarget[]]> | undefined;
let comparison: Promise<Comparison<Case, Target>> | undefined;

/** RabbitMQ and our brokers, which all suites share. */
function servers(): Promise<[StompTarget | undefined, ...StompTarget[]]> {
  return targets ??= Promise.all([
    oracle(),
    ours("ours in memory", {}),
    ours("ours on disk", { data: dir.path, sync: "flush" }),
  ]);
}

async function version(): Promise<string> {
  const overview = await (await (await rabbitMq()).api("/overview")).json() as { rabbitmq_version: string };
  return `RabbitMQ ${overview.rabbitmq_version}`;
}

async function start(): Promise<Comparison<Case, Target>> {
  const [rabbit, ...own] = await servers();
  return new Comparison({ run, recording }, CASES, rabbit, own);
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
    const server = await version();
    const { said } = await (comparison ??= start());
    if (process.env["MQCAT_RECORD"] === undefined) assert.equal(server, recording.recordedServer(CASES[0]!));
    else recording.record(server, new Map(CASES.map(({ name }) => [name, said.get(name) ?? []])));
  });
});

stompBehaviour(async () => {
  const [rabbit, ...own] = await servers();
  return { oracle: rabbit === undefined ? undefined : { ...rabbit, version: await version() }, ours: own };
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
