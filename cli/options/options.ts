/** The options that commands share, each written once. */
import { flag, group, list, option, rare, readiness } from "../app/command.ts";
import { duration, endpoint, integer, oneOf, rate, routingId, text, word } from "../app/values.ts";
import { compileFormat } from "../records/format.ts";
import { FRAMINGS } from "../records/splitter.ts";
import { tlsClient } from "./tls.ts";

/** The endpoints to bind and to connect. */
export const endpoints = group("Endpoints", {
  bind: list("-b, --bind <endpoint>", "listen on this endpoint (repeats)", endpoint),
  connect: list("-c, --connect <endpoint>", "connect to this endpoint (repeats)", endpoint),
});

/** The options under these titles are for ZeroMQ only: see `systems.ts`. */
const CONNECTION = "Connection (ZeroMQ)";
const SECURITY = "Security (ZeroMQ)";
const DELIVERY = "Delivery (ZeroMQ)";

/** Authentication and encryption of ZeroMQ. */
export const security = rare({
  ...group(SECURITY, {
    curveServer: flag("--curve-server", "encrypt with CURVE, as the server; needs --curve-key"),
    curveServerKey: option(
      "--curve-server-key <key|file>",
      "encrypt with CURVE, as a client of the server with this public key",
      word,
    ),
    curveKey: option(
      "--curve-key <file>",
      "our key pair: the file NAME.key_secret that mqcat keygen writes (default for a client: a new pair)",
      word,
    ),
    curveAllow: option(
      "--curve-allow <file>",
      "accept only clients with a public key in this file; SIGHUP reloads it",
      word,
    ),
    user: option("--user <name>", "log in with PLAIN, as a client; the password is in --password-file", word),
    plainUsers: option(
      "--plain-users <file>",
      "check logins with PLAIN, as the server, against this file of name:password lines; SIGHUP reloads it",
      word,
    ),
  }),
  ...group("Security", {
    passwordFile: option(
      "--password-file <path>",
      "read the password of --user, or of a broker, from this file (default: $MQCAT_PASSWORD)",
      word,
    ),
  }),
});

/** The options of every ZeroMQ socket. */
export const socket = {
  ...rare(group(CONNECTION, {
    heartbeat: option(
      "--heartbeat <duration>",
      "heartbeat interval; a peer that does not answer is disconnected (default: no heartbeats)",
      duration,
    ),
  })),
  ...security,
  ...tlsClient,
  ...rare(group(SECURITY, {
    origin: list(
      "--allow-origin <origin>",
      "let web pages of this origin, https://host, connect to ws:// (repeats; * is any; localhost is always allowed)",
      word,
    ),
  })),
};

/** The options of every ZeroMQ command with endpoints. */
export const zeromq = { ...endpoints, ...readiness, ...socket };

/** The source and the framing of sent messages. */
export const input = group("Messages", {
  null: flag("-0, --null", "separate messages by NUL instead of newline"),
  in: option(
    "--in <framing>",
    "framing of the input: lines, null, blob, json or u32 (default: lines)",
    oneOf(...FRAMINGS),
  ),
  json: flag("-J, --json", "one JSON record per line"),
  data: {
    ...list(
      "-D, --text <text>",
      "send this message instead of reading stdin (repeats)",
      text,
      "a file, -F, or stdin can have other bytes",
    ),
    formerly: "--data",
  },
  file: list(
    "-F, --file <path>",
    "send this file as one message (repeats); - is the whole of stdin",
    word,
    "-F - reads the file as stdin",
  ),
});

/** The form of printed messages. */
export const output = group("Output", {
  null: flag("-0, --null", "separate messages by NUL instead of newline"),
  out: option(
    "--out <framing>",
    "framing of the output: lines, null, blob, json or u32 (default: lines)",
    oneOf(...FRAMINGS),
  ),
  json: flag("-J, --json", "one JSON record per line"),
  format: option(
    "-f, --format <template>",
    "%s body, %S length, %R length as 4 bytes, %t topic, %h headers, %i routing id, %p1 part 1, %o number, %T time, %e endpoint; \\n \\t \\0 \\xNN",
    template,
    "\\xNN is a byte",
  ),
});

/** Counts instead of messages. */
export const stats = group("Output", {
  stats: flag(
    "--stats",
    "print counts by topic instead of messages: each second on a terminal or with -J, else once at the end",
  ),
});

/** When the command ends. */
export const ending = group("Timing", {
  count: option("-n, --count <number>", "end after this number of messages", integer(1)),
  timeout: option(
    "-w, --timeout <duration>",
    "give up (exit 3) when no message was received or sent for this long (default: no limit)",
    duration,
  ),
});

/** How fast to send. */
export const pacing = group("Timing", {
  interval: option("-i, --interval <duration>", "pause between messages; -D and -F then repeat", duration),
  delay: option("-d, --delay <duration>", "wait before the first message", duration),
  rate: option(
    "--rate <number/s>",
    "send at most this number of messages per second; -D and -F then repeat",
    rate,
  ),
});

/** The default of `--linger`, in milliseconds. */
export const DEFAULT_LINGER_MS = 30_000;

/** Delivery by senders. */
export const delivery = {
  ...group("Delivery", {
    linger: option(
      "--linger <duration>",
      "how long to wait at the end for unsent messages (default: 30s)",
      duration,
    ),
  }),
  ...group(DELIVERY, {
    waitPeers: option(
      "--wait-peers <number>",
      "wait for this number of peers before the first message (default: 0; pub, xpub, radio: 1)",
      integer(0),
    ),
    hwm: option(
      "--hwm <number>",
      "high-water mark: messages queued for each peer (default: 1000)",
      integer(1),
    ),
    onFull: option(
      "--on-full <what>",
      "when a queue stays full: block, drop or fail (default: block; pub, xpub, radio: drop)",
      oneOf("block", "drop", "fail"),
    ),
  }),
};

/** The options of receivers. */
export const receiving = {
  ...group(DELIVERY, { transient: flag("--transient", "end when all peers have disconnected") }),
  ...rare(group("Output", {
    timestamps: flag("--timestamps", "with -J: add the time of arrival to each record, for replay"),
  })),
};

/** Conflation of received messages. */
export const conflation = rare(group(DELIVERY, {
  conflate: flag("--conflate", "keep only the newest message while the previous one is processed"),
}));

/** Conflation of sent messages. */
export const conflatedDelivery = rare(group(DELIVERY, {
  conflate: flag("--conflate", "keep only the newest message for a slow peer"),
}));

/** The first message for a ROUTER at the other end. */
export const probing = rare(group(CONNECTION, {
  probeRouter: flag(
    "--probe-router",
    "send every new peer an empty message, so that a ROUTER learns our routing id",
  ),
}));

/** The routing id at a ROUTER at the other end. */
export const identity = group(CONNECTION, {
  identity: option(
    "--identity <id>",
    "our routing id at a ROUTER: text, or 0x and hexadecimal digits",
    routingId,
    "0x and hexadecimal digits are other bytes",
  ),
});

/** A command for each message. */
export const exec = group("Delivery", {
  exec: option(
    "--exec <command>",
    "run this in a shell for each message: the body is its stdin, MQCAT_* variables describe it",
    word,
    "put the command into a script",
  ),
  jobs: option("-j, --jobs <number>", "how many commands run at a time (default: 1)", integer(1, 1024)),
});

/** The options of a command that sends and receives at the same time. */
export const conversing = {
  ...zeromq,
  ...input,
  ...output,
  ...ending,
  ...group("Timing", {
    count: { ...ending.count, description: "end after this number of received messages" },
  }),
  ...pacing,
  ...delivery,
  ...receiving,
};

function template(value: string): string {
  compileFormat(value);
  return value;
}
