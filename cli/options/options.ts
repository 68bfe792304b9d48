/** The options that commands share, each written once. */
import { flag, group, list, option, readiness } from "../app/command.ts";
import { duration, endpoint, integer, oneOf, rate, routingId, text, word } from "../app/values.ts";
import { compileFormat } from "../records/format.ts";
import { FRAMINGS } from "../records/splitter.ts";
import { tlsClient } from "./tls.ts";

/** Where to bind and connect. */
export const endpoints = group("Endpoints", {
  bind: list("-b, --bind <endpoint>", "listen here (repeats)", endpoint),
  connect: list("-c, --connect <endpoint>", "connect there (repeats)", endpoint),
});

/** Who may talk to whom, and in secret, over ZeroMQ. */
export const security = group("Security", {
  curveServer: flag("--curve-server", "encrypt with CURVE, as the server: --curve-key is who we are"),
  curveServerKey: option(
    "--curve-server-key <key|file>",
    "encrypt with CURVE, as a client of the server with this public key",
    word,
  ),
  curveKey: option(
    "--curve-key <file>",
    "our key pair, as keygen makes it (NAME.key_secret); a client without one makes one up",
    word,
  ),
  curveAllow: option(
    "--curve-allow <file>",
    "let in only clients with a public key in this file; SIGHUP reads it again",
    word,
  ),
  user: option("--user <name>", "PLAIN, as a client: our name; the password is in --password-file", word),
  passwordFile: option(
    "--password-file <path>",
    "read the password of --user from this file ($MQCAT_PASSWORD holds it, too)",
    word,
  ),
  plainUsers: option(
    "--plain-users <file>",
    "PLAIN, as the server: let in who is in this file, name:password a line; SIGHUP reads it again",
    word,
  ),
});

/** What can be said of every ZeroMQ socket. */
export const socket = {
  ...group("Connection", {
    heartbeat: option(
      "--heartbeat <duration>",
      "ask a peer that says nothing for a sign of life this often, and leave it when none comes",
      duration,
    ),
  }),
  ...security,
  ...tlsClient,
  ...group("Security", {
    origin: list(
      "--allow-origin <origin>",
      "let web pages of https://host connect to ws:// (repeats; * is all); this machine's may always",
      word,
    ),
  }),
};

/** What every ZeroMQ command has. */
export const zeromq = { ...endpoints, ...readiness, ...socket };

/** Where messages come from. */
export const input = group("Messages", {
  null: flag("-0, --null", "messages are separated by NUL instead of newline"),
  in: option("--in <framing>", "framing of the input: lines, null, blob, json or u32", oneOf(...FRAMINGS)),
  json: flag("-J, --json", "one JSON record a line"),
  data: list("-D, --data <text>", "send this message instead of reading stdin (repeats)", text),
  file: list("-F, --file <path>", "send this file as one message instead of reading stdin (repeats)", word),
});

/** Where messages go. */
export const output = group("Output", {
  null: flag("-0, --null", "messages are separated by NUL instead of newline"),
  out: option("--out <framing>", "framing of the output: lines, null, blob, json or u32", oneOf(...FRAMINGS)),
  json: flag("-J, --json", "one JSON record a line"),
  format: option(
    "-f, --format <template>",
    "%s payload, %S length, %R length as 4 bytes, %t topic, %i routing id, %p1 part 1, %o number, %T time, %e endpoint; \\n \\t \\0 \\xNN",
    template,
  ),
});

/** When to stop. */
export const ending = group("Timing", {
  count: option("-n, --count <number>", "end after so many messages", integer(1)),
  timeout: option(
    "-w, --timeout <duration>",
    "give up (exit 3) when nothing came or could be sent for so long",
    duration,
  ),
});

/** How fast to send. */
export const pacing = group("Timing", {
  interval: option("-i, --interval <duration>", "pause between messages; -D and -F then repeat", duration),
  delay: option("-d, --delay <duration>", "wait before the first message", duration),
  rate: option("--rate <number/s>", "send at most so many messages a second; -D and -F then repeat", rate),
});

/** The default of `--linger`, in milliseconds. */
export const DEFAULT_LINGER_MS = 30_000;

/** What a sender does to deliver. */
export const delivery = group("Delivery", {
  waitPeers: option(
    "--wait-peers <number>",
    "wait for so many peers before the first message (pub: 1)",
    integer(0),
  ),
  linger: option("--linger <duration>", "how long to wait at the end for unsent messages (30s)", duration),
  hwm: option("--hwm <number>", "high-water mark: messages queued for a peer (1000)", integer(1)),
  onFull: option(
    "--on-full <what>",
    "when a queue stays full: block (push), drop (pub) or fail",
    oneOf("block", "drop", "fail"),
  ),
});

/** What a receiver has of these. */
export const receiving = {
  ...group("Delivery", { transient: flag("--transient", "end when all peers are gone") }),
  ...group("Output", {
    timestamps: flag("--timestamps", "with -J: tell in each record when the message arrived, for replay"),
  }),
};

/** Only the newest message counts. */
export const conflation = group("Delivery", {
  conflate: flag("--conflate", "keep only the newest message while the one before is worked on"),
});

/** The same for what is sent. */
export const conflatedDelivery = group("Delivery", {
  conflate: flag("--conflate", "keep only the newest message for a peer that does not keep up"),
});

/** A first sign for a ROUTER at the other end. */
export const probing = group("Connection", {
  probeRouter: flag("--probe-router", "send every new peer an empty message, so that a ROUTER knows of us"),
});

/** How a ROUTER at the other end knows us. */
export const identity = group("Connection", {
  identity: option(
    "--identity <id>",
    "the routing id by which a ROUTER knows us: text, or hex behind 0x",
    routingId,
  ),
});

/** A command for each message. */
export const exec = group("Delivery", {
  exec: option(
    "--exec <command>",
    "run this in a shell for each message: the body is its stdin, MQCAT_* describe it",
    word,
  ),
  jobs: option("-j, --jobs <number>", "run so many of them at a time (1)", integer(1, 1024)),
});

/** All of a command that sends and receives at once. */
export const conversing = {
  ...zeromq,
  ...input,
  ...output,
  ...ending,
  ...pacing,
  ...delivery,
  ...receiving,
};

function template(value: string): string {
  compileFormat(value);
  return value;
}
