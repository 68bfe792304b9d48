import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { Comparison } from "../oracle/compare.ts";
import { Recording } from "../oracle/recording.ts";
import { type Case, run, type Target } from "./case.ts";
import { CASES } from "./cases/mod.ts";

const README = new URL("../../../lib/broker/stomp/README.md", import.meta.url);
const recording = new Recording(new URL("./transcripts/", import.meta.url));

/** The servers of the suite. */
export interface Servers {
  /** RabbitMQ and its version; undefined if it is not installed. */
  readonly oracle: (Target & { readonly version: string }) | undefined;
  readonly ours: readonly Target[];
}

/**
 * Compares our broker with RabbitMQ's STOMP plug-in as the oracle: the same scripts run against both, and the responses
 * must be equal, except for the differences that a case names. Where RabbitMQ is not installed, the recorded responses
 * are the oracle; where it is, they are compared as well.
 *
 * @param start starts the servers, which the suite shares with others
 */
export function stompBehaviour(start: () => Promise<Servers>): void {
  let comparison: Promise<Comparison<Case, Target>> | undefined;
  const compare = async () => {
    const { oracle, ours } = await start();
    return new Comparison({ run, recording }, CASES, oracle, ours);
  };

  describe("STOMP behaviour", () => {
    it("differences - the README lists exactly the differences of the cases", () => {
      const [, table] = fs.readFileSync(README, "utf8").split("## Differences from RabbitMQ 3.10.8");
      const listed = [...table!.matchAll(/^\| (.*?) \| /gm)].map(([, difference]) => difference!).slice(1);
      const met = CASES.flatMap(({ differences }) => differences.map(({ why }) => why));
      assert.deepEqual(listed.sort(), [...new Set(met)].sort());
    });

    for (const one of CASES) {
      it(one.name, async () => {
        await (await (comparison ??= compare())).outcome(one);
      });
    }

    it("recording - RabbitMQ's version is that of the recorded responses", async () => {
      const { oracle } = await start();
      if (oracle === undefined) return;
      const { said } = await (comparison ??= compare());
      if (process.env["MQCAT_RECORD"] === undefined) {
        assert.equal(oracle.version, recording.recordedServer(CASES[0]!));
      } else recording.record(oracle.version, new Map(CASES.map(({ name }) => [name, said.get(name) ?? []])));
    });
  });
}
