/** All cases of the STOMP behaviour suite. */
import type { Case } from "../case.ts";
import { connecting } from "./connect.ts";
import { destinations } from "./destination.ts";
import { messages, permissions } from "./message.ts";
import { queues } from "./queue.ts";
import { durable, subscribing } from "./subscribe.ts";
import { transacting } from "./transaction.ts";

export const CASES: readonly Case[] = [
  ...connecting,
  ...destinations,
  ...subscribing,
  ...durable,
  ...queues,
  ...transacting,
  ...messages,
  ...permissions,
];
