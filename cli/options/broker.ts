/** The options of a broker's address. They are apart from `queue/target.ts`, which loads the client. */
import { flag, group, option, rare } from "../app/command.ts";
import { word } from "../app/values.ts";
import { contextOption } from "./context.ts";
import { httpUrls } from "./http.ts";
import { tlsClient } from "./tls.ts";

/** The title of options for all brokers in the help of a command that is also for ZeroMQ, and of those for AMQP. */
const ALL = "Brokers (amqp, mqtt, stomp)";
const AMQP = "Brokers (amqp)";

const shuffle = flag(
  "--shuffle",
  "try the hosts of the address in random order, to spread clients over a cluster",
);

const nearLeader = flag(
  "--near-leader",
  "connect to the host that has the leader of the queue, which the HTTP API knows; if the leader is unknown, try the " +
    "hosts in order",
);

const httpApi = option(
  "--http <address>",
  "the HTTP API of the broker: host:port or a URL, several separated by commas (default: $AMQP_HTTP_URL, else port " +
    "15672 of the broker's hosts; amqps: 15671)",
  httpUrls,
);

/** The HTTP API, for information that AMQP does not have. */
export const http = group("Broker", { http: httpApi });

/** The host of a queue. */
export const leader = rare(group("Broker", { nearLeader, http: httpApi }));

/** Which host of a list is used, for the commands of the patterns. */
export const spreading = rare(group(ALL, { shuffle }));

/** The HTTP API, which knows why messages came back. */
export const asked = rare(group(AMQP, { http: httpApi }));

/** The host of a queue, for the commands of the patterns. */
export const placing = { ...spreading, ...rare(group(AMQP, { nearLeader })), ...asked };

/** The address of the broker. The action checks the URL, because an error of the parser would show its password. */
export const broker = {
  ...group("Broker", {
    url: option(
      "--url <url>",
      "amqp://user@host:port/vhost, or amqps://…; several hosts separated by commas (default: $AMQP_URL, a " +
        "context or localhost: see mqcat context use -h)",
      word,
    ),
    shuffle,
    folder: option("--data <directory>", "use the queues in this directory: no broker needs to run", word),
    passwordFile: option(
      "--password-file <path>",
      "read the password from this file (default: $MQCAT_PASSWORD)",
      word,
    ),
  }),
  ...group("Broker", contextOption),
  ...tlsClient,
};
