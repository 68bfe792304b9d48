/** All cases of the behaviour suite. */
import type { Case } from "../case.ts";
import { ack } from "./ack.ts";
import { binding } from "./binding.ts";
import { channel } from "./channel.ts";
import { connection } from "./connection.ts";
import { consume } from "./consume.ts";
import { deadLetter } from "./dead_letter.ts";
import { errors } from "./errors.ts";
import { exchange } from "./exchange.ts";
import { maxlen, priority, ttl } from "./limits.ts";
import { permissions } from "./permissions.ts";
import { publish } from "./publish.ts";
import { qos } from "./qos.ts";
import { queue } from "./queue.ts";
import { quorum } from "./quorum.ts";
import { directReply } from "./reply.ts";
import { topology } from "./topology.ts";
import { transactions } from "./transactions.ts";
import { tx } from "./tx.ts";
import { random } from "./random.ts";

export const CASES: readonly Case[] = [
  // The slowest cases are first, so that the others run at the same time.
  ...connection,
  ...channel,
  ...exchange,
  ...binding,
  ...queue,
  ...quorum,
  ...publish,
  ...consume,
  ...ack,
  ...qos,
  ...tx,
  ...ttl,
  ...maxlen,
  ...priority,
  ...deadLetter,
  ...directReply,
  ...permissions,
  ...errors,
  ...random,
  ...topology,
  ...transactions,
];
