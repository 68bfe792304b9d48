import { deferred } from "../../transport/deferred.ts";
import { HandshakeTimeoutError, UnreachableError } from "../../errors.ts";
import { StompEncoder } from "../../stomp/frame_encoder.ts";
import { MAX_HEAD, StompDecoder, type StompSink } from "../../stomp/frame_decoder.ts";
import { type StompFrame, type StompVersion, VERSIONS } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Authenticator } from "../core/users/authenticator.ts";
import { certificateName, type CertLoginFrom } from "../core/users/certificate_name.ts";
import type { Access } from "../core/users/user_store.ts";
import { replyFor } from "./replies.ts";

/** What a login needs of the server. */
export interface LoginOptions {
  /** The largest message, in bytes. */
  readonly maxMessageSize: number;
  /** For the whole login, in milliseconds. */
  readonly handshakeTimeout: number;
  /** How the user name is taken from a client certificate. */
  readonly certLoginFrom: CertLoginFrom;
}

/** A successful login. */
export interface StompLogin {
  /** It keeps the bytes after CONNECT. */
  readonly decoder: StompDecoder;
  readonly version: StompVersion;
  readonly user: string;
  readonly vhost: VirtualHost;
  readonly access: Access;
  /** The intervals in which we send, and in which the client sends, in seconds; 0 for none. */
  readonly sendInterval: number;
  readonly receiveInterval: number;
  /** The longest silence of the client that is accepted, in milliseconds; 0 for any. */
  readonly maxSilence: number;
  /** Bytes received. */
  readonly received: number;
  /** Returns why the client is gone; undefined while it is not. */
  readonly failure: () => Error | undefined;
}

/** The credentials are wrong. The client does not get the reason. */
export class LoginRefused extends StompError {
  /** For the events of the broker only. */
  readonly reason: string;

  /** @param user the name of the user, as far as it is known */
  constructor(user: string, reason: string) {
    super("Bad CONNECT", `Access refused for user '${user}'\n`);
    this.reason = reason;
  }
}

/** The user of clients that name none. */
const GUEST = "guest";
/** The limits of a frame before the login, in bytes. */
const MAX_FIRST_BODY = 4096;
const MAX_FIRST_HEAD = 16 * 1024;
/** Time for a refused client to close the connection, in milliseconds. */
const FAREWELL_MS = 2000;
/** The longest heart-beat interval, in milliseconds: 24 days, the limit of timers. */
const MAX_INTERVAL = 2 ** 31 - 1;

/**
 * Logs a client in: waits for its CONNECT frame, and checks version, user and virtual host. If that fails, the client
 * gets an ERROR frame, and its stream is closed.
 *
 * @param reserve reserves a connection within the limits of the user and the virtual host
 * @throws {StompError | ProtocolError | LimitError | HandshakeTimeoutError | UnreachableError}
 */
export async function logIn(
  stream: ByteStream,
  options: LoginOptions,
  authenticator: Authenticator,
  vhosts: ReadonlyMap<string, VirtualHost>,
  isLocal: boolean,
  reserve: (user: string, vhost: VirtualHost) => void = () => {},
): Promise<StompLogin> {
  const reader = new FirstFrame(stream, options.handshakeTimeout);
  try {
    const { command, headers } = await reader.frame;
    if (command !== "CONNECT" && command !== "STOMP") {
      throw new StompError("Illegal command", "You must log in using CONNECT first");
    }
    const version = negotiate(headers.get("accept-version"));
    // In STOMP 1.0, a space may follow the colon.
    const header = (name: string) => version === "1.0" ? headers.get(name)?.trimStart() : headers.get(name);
    const certificate = header("login") === undefined ? stream.peerCertificate : undefined;
    const user = certificate === undefined
      ? byPassword(header("login") ?? GUEST, header("passcode") ?? GUEST, authenticator, isLocal)
      : byCertificate(certificate, options.certLoginFrom, authenticator, isLocal);
    const name = header("host") ?? "/";
    const vhost = vhosts.get(name);
    const access = vhost === undefined ? undefined : authenticator.accessTo(user, name);
    if (vhost === undefined || access === undefined) {
      throw new StompError("Bad CONNECT", `Virtual host '${name}' access denied`);
    }
    const beats = intervals(header("heart-beat") ?? "0,0");
    reserve(user, vhost);
    const { decoder } = reader;
    decoder.version = version;
    decoder.maxBody = options.maxMessageSize;
    decoder.maxHead = MAX_HEAD;
    return {
      ...beats,
      decoder,
      version,
      user,
      vhost,
      access,
      received: reader.received,
      failure: () => reader.failure,
    };
  } catch (error) {
    await refuse(stream, reader, error);
    throw error;
  }
}

function byPassword(user: string, password: string, authenticator: Authenticator, isLocal: boolean): string {
  const refusal = authenticator.authenticate(user, new TextEncoder().encode(password), isLocal);
  if (refusal !== undefined) throw new LoginRefused(user, refusal);
  return user;
}

/** A client without a name is the user that its verified certificate names. */
function byCertificate(
  certificate: Uint8Array,
  from: CertLoginFrom,
  authenticator: Authenticator,
  isLocal: boolean,
): string {
  const user = certificateName(certificate, from);
  const refusal = user === undefined
    ? `the client certificate has no ${from.replace("_", " ")} that can be read`
    : authenticator.authenticateCertificate(user, isLocal);
  if (user === undefined || refusal !== undefined) throw new LoginRefused(user ?? "", refusal ?? "");
  return user;
}

/** Chooses the newest common version. */
function negotiate(accepted = "1.0"): StompVersion {
  const offered = accepted.split(",").map((version) => version.trim());
  const version = VERSIONS.findLast((one) => offered.includes(one));
  if (version === undefined) {
    throw new StompError("Version mismatch", `Supported versions are ${VERSIONS.join(",")}\n`);
  }
  return version;
}

/** Reads the header `heart-beat`: the interval in which the client can send, and the one that it wants from us. */
function intervals(header: string): Pick<StompLogin, "sendInterval" | "receiveInterval" | "maxSilence"> {
  const found = /^ *(\d{1,10}) *, *(\d{1,10}) *$/.exec(header);
  if (found === null) {
    throw new StompError(
      "Bad CONNECT",
      `The header 'heart-beat' must be two numbers of milliseconds, not '${header.slice(0, 60)}'\n`,
    );
  }
  // At least a second, as in RabbitMQ.
  const [sends, wants] = [found[1]!, found[2]!].map((text) => {
    const ms = Math.min(Number(text), MAX_INTERVAL);
    return ms === 0 ? 0 : Math.max(1000, ms);
  }) as [number, number];
  // CONNECTED has whole seconds, but a client may keep to what it offered. Two intervals: a heart-beat may be late.
  return {
    sendInterval: Math.floor(wants / 1000),
    receiveInterval: Math.floor(sends / 1000),
    maxSilence: 2 * sends,
  };
}

/** Sends the error to the client and closes its stream. */
async function refuse(stream: ByteStream, reader: FirstFrame, error: unknown): Promise<void> {
  if (error instanceof UnreachableError) return stream.close();
  const timer = setTimeout(() => stream.close(), FAREWELL_MS);
  const encoder = new StompEncoder();
  writeError(encoder, replyFor(error));
  stream.write(encoder.out.take());
  await Promise.race([reader.written(), stream.closed]);
  // The client closes first: its bytes in transit would turn our close into a reset, which discards the error.
  stream.end();
  await stream.closed;
  clearTimeout(timer);
}

/** Encodes an ERROR frame. @param receipt the receipt that the refused frame asked for */
export function writeError(encoder: StompEncoder, { summary, details }: StompError, receipt?: string): void {
  encoder.begin("ERROR");
  encoder.header("message", summary);
  encoder.header("content-type", "text/plain");
  encoder.header("version", VERSIONS.join(","));
  if (receipt !== undefined) encoder.header("receipt-id", receipt);
  encoder.end(new TextEncoder().encode(details));
}

/** Waits for the first frame of a client, under one deadline. */
class FirstFrame implements StreamSink, StompSink {
  readonly frame: Promise<{ readonly command: string; readonly headers: ReadonlyMap<string, string> }>;
  readonly decoder: StompDecoder;
  /** Bytes received. */
  received = 0;
  /** The frame arrived: the decoder keeps what follows. */
  overBacklog = false;

  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #outcome = deferred<{ command: string; headers: ReadonlyMap<string, string> }>();
  /** Why the client is gone. */
  failure: Error | undefined;
  #over = false;
  #onWritten: (() => void) | undefined;

  constructor(stream: ByteStream, timeout: number) {
    this.frame = this.#outcome.promise;
    this.decoder = new StompDecoder(this, { maxBody: MAX_FIRST_BODY, maxHead: MAX_FIRST_HEAD });
    this.#timer = setTimeout(
      () => this.#fail(new HandshakeTimeoutError(`No CONNECT frame arrived within ${timeout / 1000} s`)),
      timeout,
    );
    stream.closed.then((cause) => {
      this.#fail(cause ?? new UnreachableError("The client closed the connection before CONNECT"));
    });
    stream.attach(this);
  }

  onFrame({ command, headers }: StompFrame): void {
    this.overBacklog = true;
    clearTimeout(this.#timer);
    this.#outcome.resolve({ command, headers: new Map(headers) });
  }

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    if (this.#over) return;
    try {
      this.decoder.push(chunk);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  onEnd(): void {
    this.#fail(new UnreachableError("The client closed the connection before CONNECT"));
  }

  onDrain(): void {
    this.#onWritten?.();
  }

  /** Waits until the system has taken a write. Further input is ignored. */
  written(): Promise<void> {
    this.#over = true;
    return new Promise((resolve) => this.#onWritten = resolve);
  }

  #fail(error: Error): void {
    clearTimeout(this.#timer);
    this.#over = true;
    this.failure ??= error;
    this.#outcome.reject(error);
  }
}
