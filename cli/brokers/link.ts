/** Connections to brokers as the commands see them: their limits, their end, and the reports about them. */
import fs from "node:fs";
import process from "node:process";
import { HandshakeTimeoutError, ProtocolError, UnreachableError } from "../../lib/errors.ts";
import type { LinkEvent, LinkOptions } from "../../lib/link/options.ts";
import type { Address } from "../../lib/link/protocol.ts";
import { formatEndpoint } from "../../lib/transport/endpoint.ts";
import { blockageReporter } from "../app/blockage.ts";
import { StoppedError, TimeoutError, UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import type { TlsValues } from "../options/tls.ts";

/** A broker, or several hosts of one. */
export interface Target {
  /** The addresses for messages, without user and password. */
  readonly where: string;
  readonly brokers: readonly Address[];
  /** Ends the first attempt to connect. */
  abort(reason: Error): void;
}

/** The values of the options for the login. */
export interface LoginValues extends TlsValues {
  readonly passwordFile: string | undefined;
}

/** The time limit for the replies of the broker at the end, after a signal or a timeout, in milliseconds. */
const HURRIED_MS = 300;

/**
 * The options of a connection, and how to end its first attempt.
 *
 * @param passing whether brokers exit normally, because each one is another command with the directory open
 */
export function linkOf(
  session: Session,
  options: LinkOptions,
  passing = false,
): Pick<Target, "abort"> & { readonly link: LinkOptions } {
  const abort = new AbortController();
  session.onStop(() => abort.abort(new StoppedError("Stopped before the broker answered")));
  const link = { ...options, onEvent: describeLink(session, passing), signal: abort.signal };
  return { link, abort: (reason) => abort.abort(reason) };
}

/**
 * Waits for the last replies of the broker: for a short time after a signal or a timeout, else for the time of the
 * client or until a signal.
 *
 * @param say sends the last methods; its argument is the time limit in milliseconds, or undefined for the default
 */
export async function farewell(
  session: Session,
  failure: unknown,
  say: (limit?: number) => Promise<void>,
): Promise<void> {
  if (session.stopping || failure instanceof TimeoutError) await say(HURRIED_MS);
  else await session.untilStopped(say());
}

/** Waits for the first connection, at most as long as `-w` allows. */
export async function startWithin(
  { where, brokers, abort }: Target,
  timeout: number | undefined,
  start: Promise<void>,
): Promise<void> {
  const late = () => abort(new TimeoutError(`${where} did not answer within ${timeout! / 1000} s (-w)`));
  const timer = timeout === undefined ? undefined : setTimeout(late, Math.min(timeout, 2 ** 31 - 1));
  try {
    await start;
  } catch (error) {
    throw await explained(error, brokers);
  } finally {
    clearTimeout(timer);
  }
}

/** Replaces an error of a connection that the peer did not answer, if the peer turns out to be a web server. */
async function explained(error: unknown, [broker]: readonly Address[]): Promise<unknown> {
  const isSilent = error instanceof UnreachableError || error instanceof HandshakeTimeoutError;
  if (!isSilent || broker?.endpoint.scheme !== "tcp") return error;
  const { probe } = await import("../../lib/probe/probe.ts");
  const finding = await probe(broker.endpoint);
  if (finding.outcome !== "identified" || finding.service.protocol !== "http") return error;
  return new ProtocolError(
    `${
      formatEndpoint(broker.endpoint)
    } speaks HTTP: it is the port of the HTTP API (AMQP is usually at 5672, ` +
      "MQTT at 1883, STOMP at 61613)",
    { cause: error },
  );
}

/**
 * Fills in the passwords of addresses: that of `--password-file`, else for addresses without one that of a variable.
 *
 * @param variable the name of the environment variable
 */
export function withPassword<A extends { readonly hasPassword: boolean; readonly password: string }>(
  addresses: readonly A[],
  { passwordFile }: LoginValues,
  variable: string,
): readonly A[] {
  const inherited = process.env[variable];
  if (passwordFile === undefined) {
    return inherited === undefined
      ? addresses
      : addresses.map((address) => address.hasPassword ? address : { ...address, password: inherited });
  }
  let password: string;
  try {
    password = fs.readFileSync(passwordFile, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new UsageError(`--password-file '${passwordFile}': ${phrase(error)}`);
  }
  return addresses.map((address) => ({ ...address, password }));
}

function describeLink({ reporter }: Session, passing: boolean): (event: LinkEvent) => void {
  const blocked = blockageReporter(
    reporter,
    "the broker accepts no messages for now",
    "the broker accepts messages again",
  );
  const lost = (text: string) => passing ? reporter.verbose(text) : reporter.warn(text);
  return (event) => {
    switch (event.type) {
      case "connected":
        return reporter.verbose(`connected: ${event.broker} (${event.server})`);
      case "lost":
        return lost(`lost ${event.broker}: ${phrase(event.error)}; connecting again`);
      case "retrying":
        return lost(`${phrase(event.error)}; trying again`);
      case "blocked":
        return blocked(event.reason);
    }
  };
}
