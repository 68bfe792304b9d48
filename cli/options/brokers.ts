/** The options of commands that send to brokers and receive from them. They load no client. */
import { flag, group, list, option } from "../app/command.ts";
import { integer, oneOf, text, word } from "../app/values.ts";

/** The title of options for all brokers in the help of a command that is also for ZeroMQ. */
const ALL = "Brokers (amqp, mqtt, stomp)";
/** The title of options for AMQP brokers there. */
const AMQP = "Brokers (amqp)";
/** The title of options for MQTT brokers there. */
const MQTT = "Brokers (mqtt)";

/** How often a failing `--exec` runs for a message, by default. */
export const MAX_ATTEMPTS = 5;

/** Headers and properties of sent messages. */
export const envelope = group(ALL, {
  header: list(
    "-H, --header <name=value>",
    "add a header (repeats); 'name: value' is the same",
    header,
    `-J can have other bytes: {"headers":{"NAME":{"$bytes":"BASE64"}}}`,
  ),
  property: list(
    "-P, --property <name=value>",
    "set a property, such as content_type (repeats); 'name: value' is the same",
    word,
  ),
});

/** The headers of wanted messages. */
export const matches = group(AMQP, {
  match: list(
    "-H, --header <name=value>",
    "receive only messages with this header, from a headers exchange (repeats: with all of them)",
    header,
  ),
});

/** The limit of unacknowledged messages of a receiver. */
export const prefetch = group(ALL, {
  prefetch: option(
    "--prefetch <number>",
    "number of messages to prefetch (default: 1000; with --exec: the value of -j)",
    integer(1, 65535),
  ),
});

/** What happens to messages that `--exec` cannot process. */
export const retries = group(ALL, {
  maxAttempts: option(
    "--max-attempts <number>",
    `how often a failing --exec runs for a message, 1 s apart; 0: no limit (default: ${MAX_ATTEMPTS})`,
    integer(0),
  ),
  onError: option(
    "--on-error <what>",
    "what happens to a message after the last failed attempt: requeue (and the command ends), dead-letter, or reject, " +
      "which drops the message if there is no dead-letter exchange (default: requeue)",
    oneOf("requeue", "dead-letter", "reject"),
  ),
});

/** How requests are sent. */
export const asking = {
  ...group(ALL, {
    jobs: option(
      "-j, --jobs <number>",
      "how many requests may wait for a reply; replies are printed in order (default: 1)",
      integer(1, 65535),
    ),
  }),
  ...group(AMQP, {
    exchange: option("--exchange <exchange>", "send to this exchange; the address then has no queue", word),
    topic: option("-t, --topic <key>", "the routing key, with --exchange", text),
  }),
};

/** What happens to requests that `--exec` cannot process. */
export const answering = group(ALL, {
  maxAttempts: option(
    "--max-attempts <number>",
    "how often a failing --exec runs for a request, 1 s apart; 0: no limit (default: 1)",
    integer(0),
  ),
  onError: option(
    "--on-error <what>",
    "what happens after the last failed attempt: reply (with the output of the command and the header x-error), " +
      "requeue (and the command ends), dead-letter, or reject, which drops the request if there is no dead-letter " +
      "exchange (default: reply)",
    oneOf("reply", "requeue", "dead-letter", "reject"),
  ),
});

/** The option that creates a missing queue. */
export const declaring = group("Brokers (amqp, stomp)", {
  declare: flag("--declare", "create the queue if it does not exist: durable, of the broker's default type"),
});

/** How a queue is consumed. */
export const consuming = group(AMQP, {
  drain: flag("--drain", "end when the queue is empty"),
  offset: option(
    "--offset <where>",
    "where to begin in a stream: first, last, next, a number, or a time such as 2026-11-25T08:00:00Z (default: next)",
    word,
  ),
});

/** What happens to published messages that reach no queue. */
export const routing = group(AMQP, {
  mandatory: flag("--mandatory", "fail (exit 5) when messages reach no queue"),
});

/** How messages are delivered by MQTT. */
export const quality = group(MQTT, {
  qos: option("--qos <level>", "quality of service: 0, 1 or 2 (default: 1)", oneOf("0", "1", "2")),
});

/** Retained messages of MQTT. */
export const retention = group(MQTT, {
  retain: flag("--retain", "let the broker keep the last message of each topic for later subscribers"),
});

/** The name under which an MQTT server keeps a subscription. */
export const naming = group(MQTT, {
  clientId: option(
    "--client-id <name>",
    "client identifier of --from: while the proxy is not running, the server stores its messages for a day",
    word,
  ),
});

/** Shared subscriptions of MQTT. */
export const sharing = group(MQTT, {
  group: option(
    "--group <name>",
    "share the messages with the other members of this group (default: do not share them)",
    word,
  ),
});

function header(value: string): [name: string, value: string] {
  const match = /^([^:=]+)(?:=|:\s*)([^]*)$/.exec(text(value));
  if (match === null) throw new Error("expected name=value, or 'name: value'");
  return [match[1]!.trim(), match[2]!];
}
