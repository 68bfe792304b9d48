/** Runs the tests of queue/ against each broker. */
import { after, describe } from "node:test";
import { BROKERS } from "../support/brokers.ts";
import { target } from "../support/mqcat.ts";
import { cheats } from "./queue/cheats.ts";
import { checking } from "./queue/checking.ts";
import { contextOf } from "./queue/context.ts";
import { counted } from "./queue/counted.ts";
import { deadLetters } from "./queue/dead_letters.ts";
import { dumping } from "./queue/dumping.ts";
import { endings } from "./queue/ending.ts";
import { existing } from "./queue/existing.ts";
import { commands } from "./queue/exec.ts";
import { following } from "./queue/following.ts";
import { hosts } from "./queue/hosts.ts";
import { looking } from "./queue/looking.ts";
import { pages } from "./queue/page.ts";
import { probed } from "./queue/probed.ts";
import { progress } from "./queue/progress.ts";
import { putAndGet } from "./queue/put_get.ts";
import { refusals } from "./queue/refused.ts";
import { selecting } from "./queue/selecting.ts";
import { streams } from "./queue/streams.ts";
import { threeWays } from "./queue/three_ways.ts";
import { top } from "./queue/top.ts";
import { usage } from "./queue/usage.ts";

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

for (const kind of BROKERS) {
  // RabbitMQ is slow, and the binary starts fastest. The client itself is tested with RabbitMQ on both runtimes.
  if (kind.name === "RabbitMQ" && target !== "binary") continue;
  describe(`queue, ${kind.name}`, () => {
    after(kind.stop);
    const context = contextOf(kind);
    for (const suite of SUITES) suite(context);
  });
}
