/** The options of a broker's address. They are apart from `queue/target.ts`, which loads the client. */
import { group, option } from "../app/command.ts";
import { word } from "../app/values.ts";
import { contextOption } from "./context.ts";
import { tlsClient } from "./tls.ts";

/** The address of the broker. The action checks the URL, because an error of the parser would show its password. */
export const broker = {
  ...group("Broker", {
    url: option(
      "--url <url>",
      "amqp://user@host:port/vhost, or amqps://…; several hosts with commas (default: $AMQP_URL, else localhost)",
      word,
    ),
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
