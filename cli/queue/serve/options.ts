/** The options of `queue serve` and `queue run`. */
import type { CertLoginFrom } from "../../../lib/broker/core/users/certificate_name.ts";
import type { BrokerOptions } from "../../../lib/broker/options.ts";
import { flag, group, option, rare } from "../../app/command.ts";
import { duration, integer, size, word } from "../../app/values.ts";
import type { TlsValues } from "../../options/tls.ts";

/** The options of the broker. */
export const serving = {
  ...group("Storage", {
    folder: option("--data <directory>", "keep queues and messages in this directory", word),
    memory: flag("--memory", "keep queues and messages in memory only"),
    sync: option(
      "--sync <mode>",
      "what a confirm guarantees: confirm, the message is on disk; flush, it is written to the kernel; interval=D, it is on disk within D (default: confirm)",
      syncMode,
    ),
    definitions: option(
      "--load-definitions <file>",
      "import the definitions in this file, which RabbitMQ exported",
      word,
    ),
  }),
  ...group("Security", {
    user: option(
      "--user <name>",
      "accept this user instead of guest; the password is in $MQCAT_PASSWORD",
      word,
    ),
    passwordFile: option(
      "--password-file <path>",
      "read the password of --user from this file (default: $MQCAT_PASSWORD)",
      word,
    ),
    usersFile: option(
      "--users-file <path>",
      "accept the users in this file, NAME:PASSWORD on each line, instead of guest; with --cacert, NAME: is a user without a password; SIGHUP reloads it",
      word,
    ),
  }),
  ...rare(group("Limits", {
    maxConnections: option("--max-connections <number>", "limit of connections (default: 10000)", integer(1)),
    maxMessage: option("--max-message <size>", "refuse larger messages (default: 128M)", size),
    memoryLimit: option(
      "--memory-limit <size>",
      "limit of messages in memory; beyond it they go to disk (default: 128M) or, if none are stored there, publishers wait (default: 40 % of the machine's memory)",
      size,
    ),
    heartbeat: option(
      "--heartbeat <duration>",
      "heartbeat interval, and the longest keep alive of MQTT 5.0 clients; 0 turns both off (default: 60s)",
      duration,
    ),
  })),
  ...rare(group("MQTT", {
    sessionLimit: option(
      "--session-limit <number>",
      "limit of messages that wait for one session; the oldest are dropped (default: 100000)",
      integer(1),
    ),
    sessionExpiry: option(
      "--session-expiry <duration>",
      "how long a session is kept at most while its client is disconnected (default: 168h)",
      duration,
    ),
    retainedLimit: option(
      "--retained-limit <number>",
      "limit of retained messages of a virtual host (default: 100000)",
      integer(0),
    ),
  })),
  ...rare(group("Identity", {
    product: option(
      "--product <name>",
      "product name sent to clients, such as RabbitMQ (default: mqcat)",
      word,
    ),
    productVersion: option(
      "--product-version <version>",
      "product version sent to clients (default: the version of mqcat)",
      word,
    ),
  })),
};

type Sync = Pick<BrokerOptions, "sync" | "syncInterval">;

/** The values of the options above. */
export interface ServingOptions extends TlsValues {
  readonly folder: string | undefined;
  /** Origins of web pages that may connect; only `queue serve` has it. */
  readonly origin?: readonly string[] | undefined;
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
  readonly sessionLimit: number | undefined;
  readonly sessionExpiry: number | undefined;
  readonly retainedLimit: number | undefined;
  readonly product: string | undefined;
  readonly productVersion: string | undefined;
  readonly certLoginFrom?: CertLoginFrom | undefined;
}

function syncMode(text: string): Sync {
  if (text === "confirm" || text === "flush") return { sync: text };
  const interval = /^interval=(.+)$/.exec(text);
  if (interval === null) throw new Error("expected confirm, flush or interval=D, such as interval=200ms");
  const ms = duration(interval[1]!);
  if (ms < 1) throw new Error("the interval must be at least 1 ms: use 'confirm' for every message");
  return { sync: "interval", syncInterval: ms };
}
