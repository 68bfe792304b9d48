/** What the queue commands share: where the broker is, as whom to go there, and what is said of the connection. */
import fs from "node:fs";
import process from "node:process";
import type { AmqpConnection } from "../lib/amqp/client/connection.ts";
import { connectAmqp, type LinkEvent, type LinkOptions } from "../lib/amqp/client/link.ts";
import { type Broker, DEFAULT_URL, formatBroker, parseAmqpUrl } from "../lib/amqp/client/url.ts";
import { group, option } from "./command.ts";
import { UsageError } from "./errors.ts";
import { phrase } from "./reporter.ts";
import { Session, type SessionOptions } from "./session.ts";
import { readTls, type SecurityOptions, tlsClient } from "./tls.ts";
import { integer, text, word } from "./values.ts";

/** Where the broker is. The URL is checked by the action: an error of the parser would show its password. */
export const broker = {
  ...group("Broker", {
    url: option(
      "--url <url>",
      "amqp://user@host:port/vhost, or amqps://…; several hosts with commas ($AMQP_URL, else this machine)",
      word,
    ),
    passwordFile: option(
      "--password-file <path>",
      "read the password from this file ($AMQP_PASSWORD holds it, too)",
      word,
    ),
  }),
  ...tlsClient,
};

/** The HTTP API, for what AMQP cannot tell. */
export const http = group("Broker", {
  http: option(
    "--http <url>",
    "the broker's HTTP API ($AMQP_HTTP_URL, else port 15672 of its host, or 15671 for amqps)",
    word,
  ),
});

/** How much a consumer may have at a time. */
export const prefetch = group("Delivery", {
  prefetch: option(
    "--prefetch <number>",
    "take so many messages ahead (1000; with --exec as many as -j)",
    limit,
  ),
});

/** What the options above say. */
export interface BrokerOptions extends SecurityOptions {
  readonly url: string | undefined;
  readonly passwordFile: string | undefined;
}

/** A parsed `BrokerOptions`. */
export interface Target {
  readonly brokers: readonly Broker[];
  readonly link: LinkOptions;
}

/** One run of a queue command; none of them listens, so none tells where. */
export function queueSession(name: string, options: Omit<SessionOptions, "readyFile">): Session {
  return new Session(`queue ${name}`, { ...options, readyFile: undefined });
}

/** @throws {UsageError | EndpointError} the URL or the password file is wrong, or the certificates are out of place */
export function targetOf(session: Session, options: BrokerOptions, url = options.url): Target {
  const brokers = withPassword(parseAmqpUrl(url ?? (process.env["AMQP_URL"] || DEFAULT_URL)), options);
  const { insecure, cacert, cert, key } = options;
  if ((insecure || (cacert ?? cert ?? key) !== undefined) && brokers[0]!.endpoint.scheme !== "tls") {
    throw new UsageError(`certificates are for amqps://, and ${formatBroker(brokers[0]!)} is none`);
  }
  const abort = new AbortController();
  session.onStop(() => abort.abort(new Error("Stopped before the broker answered")));
  return { brokers, link: { tls: readTls(options), onEvent: describeLink(session), signal: abort.signal } };
}

/** The HTTP API that was named; undefined: where RabbitMQ usually has it. */
export function httpOf(options: { readonly http: string | undefined }): string | undefined {
  return options.http ?? (process.env["AMQP_HTTP_URL"] || undefined);
}

/** Connects once, runs `work`, and says goodbye. */
export async function withConnection(
  { brokers, link }: Target,
  work: (connection: AmqpConnection) => Promise<void>,
): Promise<void> {
  const connection = await connectAmqp(brokers, link);
  try {
    await work(connection);
  } finally {
    await connection.close();
  }
}

function withPassword(brokers: readonly Broker[], { passwordFile }: BrokerOptions): readonly Broker[] {
  const inherited = process.env["AMQP_PASSWORD"];
  if (passwordFile === undefined) {
    return inherited === undefined
      ? brokers
      : brokers.map((broker) => broker.hasPassword ? broker : { ...broker, password: inherited });
  }
  let password: string;
  try {
    password = fs.readFileSync(passwordFile, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new UsageError(`--password-file '${passwordFile}': ${phrase(error)}`);
  }
  return brokers.map((broker) => ({ ...broker, password }));
}

function describeLink({ reporter }: Session): (event: LinkEvent) => void {
  return (event) => {
    switch (event.type) {
      case "connected":
        return reporter.verbose(`connected: ${event.broker} (${event.server})`);
      case "lost":
        return reporter.warn(`lost ${event.broker}: ${phrase(event.error)}; connecting again`);
      case "retrying":
        return reporter.warn(`${phrase(event.error)}; trying again`);
      case "blocked":
        return event.reason === undefined
          ? reporter.info("the broker takes messages again")
          : reporter.warn(`the broker takes no messages for now: ${event.reason}`);
    }
  };
}

function limit(value: string): number {
  const number = integer(1)(value);
  if (number > 65535) throw new Error("expected a whole number from 1 to 65535");
  return number;
}

/** An argument of a queue or a binding, `x-max-length=1000`: integers and booleans are sent as such. */
export function argument(value: string): [name: string, value: string | number | boolean] {
  const at = value.indexOf("=");
  if (at < 1) throw new Error("expected name=value, such as x-max-length=1000");
  const given = text(value.slice(at + 1));
  if (/^(true|false)$/.test(given)) return [value.slice(0, at), given === "true"];
  const number = Number(given);
  return [value.slice(0, at), /^-?\d+$/.test(given) && Number.isSafeInteger(number) ? number : given];
}
