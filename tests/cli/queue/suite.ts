/** The suites of the queue commands, for one broker. */
import { after, describe } from "node:test";
import type { BrokerKind } from "../../support/brokers.ts";
import { cheats } from "./cheats.ts";
import { checking } from "./checking.ts";
import { contextOf } from "./context.ts";
import { counted } from "./counted.ts";
import { deadLetters } from "./dead_letters.ts";
import { dumping } from "./dumping.ts";
import { endings } from "./ending.ts";
import { existing } from "./existing.ts";
import { commands } from "./exec.ts";
import { following } from "./following.ts";
import { hosts } from "./hosts.ts";
import { looking } from "./looking.ts";
import { pages } from "./page.ts";
import { probed } from "./probed.ts";
import { progress } from "./progress.ts";
import { putAndGet } from "./put_get.ts";
import { refusals } from "./refused.ts";
import { selecting } from "./selecting.ts";
import { streams } from "./streams.ts";
import { threeWays } from "./three_ways.ts";
import { top } from "./top.ts";
import { usage } from "./usage.ts";

const SUITES = [
  putAndGet,
  threeWays,
  endings,
  existing,
  refusals,
  commands,
  deadLetters,
  streams,
  looking,
  hosts,
  dumping,
  selecting,
  following,
  checking,
  counted,
  probed,
  progress,
  pages,
  top,
  usage,
  cheats,
];

/** Defines the tests of the queue commands against a broker. */
export function queueSuite(kind: BrokerKind): void {
  describe(`queue, ${kind.name}`, () => {
    after(kind.stop);
    const context = contextOf(kind);
    for (const suite of SUITES) suite(context);
  });
}
