/** The options of `queue serve` and `queue run`. */
import type { BrokerOptions } from "../../../lib/broker/options.ts";
import { flag, group, option } from "../../app/command.ts";
import { duration, integer, size, word } from "../../app/values.ts";
import type { SecurityOptions } from "../../options/tls.ts";

/** How the broker is to be. */
export const serving = {
  ...group("Storage", {
    folder: option("--data <directory>", "keep queues and messages here", word),
    memory: flag("--memory", "keep nothing: all is gone when the broker ends"),
    sync: option(
      "--sync <mode>",
      "what a confirm means: confirm, it is on disk (the default); flush, the kernel has it; interval=D, it will be on disk within D",
      syncMode,
    ),
    definitions: option(
      "--load-definitions <file>",
      "declare what this file has, an export of RabbitMQ",
      word,
    ),
  }),
  ...group("Security", {
    user: option("--user <name>", "let in this user instead of guest; $AMQP_PASSWORD is the password", word),
    passwordFile: option("--password-file <path>", "read the password of --user from this file", word),
    usersFile: option(
      "--users-file <path>",
      "let in the users of this file, NAME:PASSWORD on each line, instead of guest; SIGHUP reads it again",
      word,
    ),
  }),
  ...group("Limits", {
    maxConnections: option("--max-connections <number>", "turn away more clients (10000)", integer(1)),
    maxMessage: option("--max-message <size>", "refuse larger messages (128M)", size),
    memoryLimit: option(
      "--memory-limit <size>",
      "hold publishers back while messages that are on no disk need more",
      size,
    ),
    heartbeat: option(
      "--heartbeat <duration>",
      "ask for a sign of life so often; 0 for never (60s)",
      duration,
    ),
  }),
  ...group("Identity", {
    product: option(
      "--product <name>",
      "the product that clients are told of, such as RabbitMQ (mqcat)",
      word,
    ),
    productVersion: option("--product-version <version>", "its version", word),
  }),
};

type Sync = Pick<BrokerOptions, "sync" | "syncInterval">;

/** What the options above say. */
export interface ServingOptions extends SecurityOptions {
  readonly folder: string | undefined;
  readonly memory: boolean | undefined;
  readonly sync: Sync | undefined;
  readonly definitions: string | undefined;
  readonly user: string | undefined;
  readonly passwordFile: string | undefined;
  readonly usersFile: string | undefined;
  readonly maxConnections: number | undefined;
  readonly maxMessage: number | undefined;
  readonly memoryLimit: number | undefined;
  readonly heartbeat: number | undefined;
  readonly product: string | undefined;
  readonly productVersion: string | undefined;
}

function syncMode(text: string): Sync {
  if (text === "confirm" || text === "flush") return { sync: text };
  const interval = /^interval=(.+)$/.exec(text);
  if (interval === null) throw new Error("expected confirm, flush or interval=D, such as interval=200ms");
  const ms = duration(interval[1]!);
  if (ms < 1) throw new Error("an interval of no time is 'confirm'");
  return { sync: "interval", syncInterval: ms };
}
