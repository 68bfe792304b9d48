/** Connections to brokers as the commands see them: their limits, their end, and the reports about them. */
import fs from "node:fs";
import process from "node:process";
import { AmqpError } from "../../lib/amqp/amqp_error.ts";
import { HandshakeTimeoutError, messageOf, ProtocolError, UnreachableError } from "../../lib/errors.ts";
import type { LinkEvent, LinkOptions } from "../../lib/link/options.ts";
import type { Address } from "../../lib/link/protocol.ts";
import { BROKER_SYSTEMS, type BrokerSystem, brokerSystemOf } from "../../lib/patterns/address.ts";
import { formatEndpoint, isLoopback } from "../../lib/transport/endpoint.ts";
import { blockageReporter } from "../app/blockage.ts";
import { passwordOf } from "../app/environment.ts";
import { StoppedError, TimeoutError, UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import type { Context } from "../contexts/contract.ts";
import { readTls, type TlsValues } from "../options/tls.ts";

/** A broker, or several hosts of one. */
export interface Target {
  /** The addresses for messages, without user and password. */
  readonly where: string;
  readonly brokers: readonly Address[];
  /** Ends the first attempt to connect. */
  abort(reason: Error): void;
  /** Why the last attempt must wait, if the broker answered; empty if not. */
  delay(): string;
}

/** The values of the options for the login. */
export interface LoginValues extends TlsValues {
  readonly passwordFile: string | undefined;
  /** Whether the hosts of a list are tried in random order. */
  readonly shuffle?: boolean | undefined;
  /** AMQP: whether to connect to the host with the leader of the queue. */
  readonly nearLeader?: boolean | undefined;
  /** AMQP: the URLs of the HTTP API. */
  readonly http?: readonly string[] | undefined;
  /** The context of the command line; it applies to the broker in use. */
  readonly context?: Context | undefined;
  /** The environment variable with the password of a user without one; false: none is needed. Default: see `passwordOf` */
  readonly passwordVariable?: string | false | undefined;
  /** The limit of `-w`, for the words about a wait, in milliseconds. */
  readonly timeout?: number | undefined;
}

/** The time limit for the replies of the broker at the end, after a signal or a timeout, in milliseconds. */
const HURRIED_MS = 300;
/** The time without a word about something that is away after which it is reported again, in milliseconds. */
const SAID_MS = 30_000;

/**
 * The options of a connection, and how to end its first attempt.
 *
 * @param passing whether brokers exit normally, because each one is another command with the directory open
 * @param timeout the limit of `-w`, for the words about a wait
 */
export function linkOf(
  session: Session,
  options: LinkOptions,
  passing = false,
  timeout?: number,
): Pick<Target, "abort" | "delay"> & { readonly link: LinkOptions } {
  const abort = new AbortController();
  session.onStop(() => abort.abort(new StoppedError("Stopped before the broker answered")));
  let delay = "";
  const describe = describeLink(session, passing, timeout);
  const onEvent = (event: LinkEvent) => {
    if (event.type === "away") delay = event.error.message;
    else if (event.type !== "connected") delay = "";
    describe(event);
  };
  const link = { awayPatience: Infinity, ...options, onEvent, signal: abort.signal };
  return { link, abort: (reason) => abort.abort(reason), delay: () => delay };
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
  { where, brokers, abort, delay }: Target,
  timeout: number | undefined,
  start: Promise<void>,
): Promise<void> {
  const late = () => {
    const limit = `${timeout! / 1000} s (-w)`;
    const why = delay();
    abort(
      new TimeoutError(
        why === "" ? `${where} did not answer within ${limit}` : `${why}: it was not back within ${limit}`,
      ),
    );
  };
  const timer = timeout === undefined ? undefined : setTimeout(late, Math.min(timeout, 2 ** 31 - 1));
  try {
    await start;
  } catch (error) {
    throw await explained(error, where, brokers);
  } finally {
    clearTimeout(timer);
  }
}

/** A node of a cluster stops, or an operator has closed the connection. */
const CONNECTION_FORCED = 320;

/**
 * Replaces an error of a connection that the peer ended, or did not answer, for example because it is a web server. Names the
 * command that starts a missing broker of this machine.
 */
async function explained(error: unknown, where: string, brokers: readonly Address[]): Promise<unknown> {
  const [broker] = brokers;
  if (error instanceof AmqpError && error.replyCode === CONNECTION_FORCED) {
    return new UnreachableError(error.message, { cause: error });
  }
  const isSilent = error instanceof UnreachableError || error instanceof HandshakeTimeoutError;
  if (!isSilent || broker?.endpoint.scheme !== "tcp") return error;
  const { probe } = await import("../../lib/probe/probe.ts");
  const finding = await probe(broker.endpoint);
  // RabbitMQ's stream protocol is of no system.
  const system = brokerSystemOf(where);
  if (
    finding.outcome === "refused" && system !== undefined && brokers.length === 1 &&
    isLoopback(broker.endpoint)
  ) {
    const address = formatEndpoint(broker.endpoint).replace("tcp", system);
    return new UnreachableError(`${messageOf(error)} (mqcat queue serve ${address} starts a broker there)`, {
      cause: error,
    });
  }
  if (finding.outcome !== "identified" || finding.service.protocol !== "http") return error;
  return new ProtocolError(
    `${
      formatEndpoint(broker.endpoint)
    } speaks HTTP: it is the port of the HTTP API (AMQP is usually at 5672, ` +
      "MQTT at 1883, STOMP at 61613)",
    { cause: error },
  );
}

/** The URL of a broker, and the login there. */
export interface Place {
  readonly url: string;
  readonly login: LoginValues;
}

/**
 * The broker at a URL, else the broker in use: that of a context that the command line or `$MQCAT_CONTEXT` names, of
 * `$AMQP_URL` and its like, of another context, or of this machine.
 *
 * @param usual the URL of the broker of this machine
 * @throws {UsageError} the context has no such broker
 */
export function placeOf(
  system: BrokerSystem,
  url: string | undefined,
  usual: string,
  values: LoginValues,
): Place {
  const context = contextOf(system, values);
  if (url !== undefined || context === undefined) {
    return { url: url ?? urlInUse(system) ?? usual, login: { ...values, context: undefined } };
  }
  const { cacert, cert, key } = context.tls;
  const own = {
    cacert: values.cacert ?? cacert,
    // A certificate and its key belong together.
    cert: values.cert ?? (values.key === undefined ? cert : undefined),
    key: values.key ?? (values.cert === undefined ? key : undefined),
  };
  const found = context.url(system);
  return { url: found, login: /^[^:]*(s|ssl):/i.test(found) ? { ...values, ...own } : values };
}

/** The URL in the variable of a system; undefined if it is not set. @throws {UsageError} the URL is of another system */
function urlInUse(system: BrokerSystem): string | undefined {
  const { variable, schemes } = BROKER_SYSTEMS[system];
  const url = process.env[variable] || undefined;
  const scheme = /^([^:/]+):\/\//.exec(url ?? "")?.[1];
  if (scheme !== undefined && brokerSystemOf(`${scheme}://`) !== system) {
    throw new UsageError(
      `$${variable} is a URL of '${scheme}': expected ${schemes[0]}:// or ${schemes[1]}://`,
    );
  }
  return url;
}

/** The context of the broker in use; undefined if a variable names that broker, or if there is no context. */
export function contextOf(
  system: BrokerSystem,
  { context }: { readonly context?: Context | undefined },
): Context | undefined {
  const isOverruled = !context?.isExplicit && process.env[BROKER_SYSTEMS[system].variable];
  return isOverruled ? undefined : context;
}

/** An address with a login. */
interface Login extends Address {
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Whether the URL contains the password, or needs none from elsewhere. Default: whether there is one */
  readonly hasPassword?: boolean;
  /** The names of the parameters that have no effect. */
  readonly ignored?: readonly string[] | undefined;
}

/** The options that do what parameters of URLs do in other tools. */
const OPTIONS: Readonly<Record<string, string>> = {
  cacertfile: "--cacert",
  certfile: "--cert",
  keyfile: "--key",
  verify: "-k, or --cacert",
  ssl_options: "--cacert, --cert and --key",
  auth_mechanism: "auth_mechanism=plain or external",
  socket_timeout: "connection_timeout, in ms",
};

/**
 * How to connect to the hosts of a broker, as the options demand.
 *
 * @param format formats an address for messages, without user and password
 * @throws {UsageError} the password file or a certificate is wrong or out of place
 */
export function reach<A extends Login>(
  session: Session,
  system: BrokerSystem,
  addresses: readonly A[],
  format: (address: A) => string,
  values: LoginValues,
): Target & { readonly brokers: readonly A[]; readonly link: LinkOptions } {
  const { insecure, cacert, cert, key, context } = values;
  if (context !== undefined) {
    session.note(`context '${context.name}'`);
    session.reporter.verbose(`using context '${context.name}' of ${context.file}, chosen by ${context.by}`);
  }
  for (const name of new Set(addresses.flatMap(({ ignored = [] }) => ignored))) {
    const option = OPTIONS[name];
    session.reporter.warn(
      `the parameter '${name}' of the URL is ignored${option === undefined ? "" : ` (use ${option})`}`,
    );
  }
  const hasTls = insecure || (cacert ?? cert ?? key) !== undefined;
  if (hasTls && !addresses.some(({ endpoint }) => endpoint.scheme === "tls")) {
    throw new UsageError(`certificates are for ${system}s:// URLs: received ${format(addresses[0]!)}`);
  }
  return {
    brokers: withPassword(addresses, values, system),
    where: addresses.map(format).join(","),
    ...linkOf(session, { tls: readTls(values), shuffle: values.shuffle }, false, values.timeout),
  };
}

/**
 * Fills in the password: that of `--password-file` or of the context, else that of the environment for users without one
 * in the URL. The environment is not about guest in a URL without a user.
 */
function withPassword<A extends Login>(
  addresses: readonly A[],
  { passwordFile, passwordVariable, context }: LoginValues,
  system: BrokerSystem,
): readonly A[] {
  if (passwordVariable === false) return addresses;
  if (passwordFile === undefined) {
    const password = passwordVariable !== undefined
      ? process.env[passwordVariable]
      : context === undefined
      ? passwordOf(system)
      : context.password(system, true);
    if (password === undefined) return addresses;
    return addresses.map((address) => {
      const { user, password: own, hasPassword = own !== undefined } = address;
      // The URL of a context has no password.
      const isKnown = context === undefined && hasPassword;
      return isKnown || user === undefined ? address : { ...address, password };
    });
  }
  let password: string;
  try {
    password = fs.readFileSync(passwordFile, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new UsageError(`the password file '${passwordFile}': ${phrase(error)}`);
  }
  return addresses.map((address) => ({ ...address, password }));
}

function describeLink(
  { reporter }: Session,
  passing: boolean,
  timeout: number | undefined,
): (event: LinkEvent) => void {
  /** The last message about something that is away, and when it came. */
  let said = "";
  let saidAt = 0;
  let unplaced = "";
  const wait = (text: string) => {
    if (text !== said || performance.now() - saidAt > SAID_MS) {
      const limit = timeout === undefined
        ? "until that changes (-w limits it)"
        : `for at most ${timeout / 1000} s (-w)`;
      reporter.warn(`${text}; waiting ${limit}`);
    }
    said = text;
    saidAt = performance.now();
  };
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
      case "away":
        return wait(event.error.message);
      case "leaderless": {
        const text = `--near-leader has no effect: ${phrase(event.error)}`;
        if (text !== unplaced) reporter.warn(text);
        unplaced = text;
        return;
      }
      case "blocked":
        return blocked(event.reason);
    }
  };
}
