import { deferred } from "../../transport/deferred.ts";
import {
  HandshakeTimeoutError,
  IncompatiblePeerError,
  MqcatError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../../errors.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { StompDecoder, type StompSink } from "../frame_decoder.ts";
import { StompEncoder } from "../frame_encoder.ts";
import { type StompFrame, type StompVersion, VERSIONS } from "../frame.ts";
import { StompError } from "../stomp_error.ts";
import type { StompServer } from "./url.ts";

/** The limit of bodies before the login, in bytes: an ERROR frame has one. */
const MAX_FIRST_BODY = 64 * 1024;

/** The result of a handshake. */
export interface StompLogin {
  /** It keeps the bytes after CONNECTED. */
  readonly decoder: StompDecoder;
  readonly version: StompVersion;
  /** Product and version of the server. */
  readonly server: string;
  /** The intervals in which we send, and in which the server sends, in milliseconds; 0 for none. */
  readonly sendInterval: number;
  readonly receiveInterval: number;
  /** Returns why the server is gone; undefined while it is not. */
  readonly failure: () => Error | undefined;
}

/**
 * Logs in: sends CONNECT, and waits for CONNECTED ("Connecting"). Closes the stream on failure.
 *
 * @param timeout the time limit, in milliseconds
 * @throws {RefusedError} wrong credentials, or a virtual host that does not exist or that the user has no access to
 * @throws {IncompatiblePeerError} the server speaks another protocol, or no common version of STOMP
 * @throws {StompError | ProtocolError | LimitError | HandshakeTimeoutError | UnreachableError}
 */
export async function logIn(stream: ByteStream, address: StompServer, timeout: number): Promise<StompLogin> {
  const first = new FirstFrame(stream, timeout);
  try {
    const beat = address.heartbeat * 1000;
    const encoder = new StompEncoder();
    encoder.frame("CONNECT", [
      ["accept-version", VERSIONS.join(",")],
      ["host", address.vhost],
      ["login", address.user],
      ["passcode", address.password],
      ["heart-beat", `${beat},${beat}`],
    ]);
    stream.write(encoder.out.take());
    const { command, headers, details } = await first.frame;
    await first.written;
    if (command === "ERROR") {
      throw explain(new StompError(headers.get("message") ?? "ERROR", details), address);
    }
    if (command !== "CONNECTED") {
      throw new ProtocolError(`The server sent ${command.slice(0, 20)}: expected CONNECTED`);
    }
    const version = headers.get("version") ?? "1.0";
    if (!isVersion(version)) {
      throw new IncompatiblePeerError(
        `The server chose version '${version.slice(0, 20)}' of STOMP: this client speaks ${
          VERSIONS.join(", ")
        }`,
      );
    }
    first.end();
    first.decoder.version = version;
    const server = (headers.get("server") ?? "").replace("/", " ").trim();
    return {
      decoder: first.decoder,
      version,
      server: server || "a STOMP server",
      failure: () => first.failure,
      ...intervals(headers.get("heart-beat"), beat),
    };
  } catch (error) {
    first.end();
    stream.close();
    throw error;
  }
}

function isVersion(version: string): version is StompVersion {
  return (VERSIONS as readonly string[]).includes(version);
}

/** Combines the intervals of both ends: the longer one counts, and 0 means never ("Heart-beating"). */
function intervals(
  header: string | undefined,
  own: number,
): Pick<StompLogin, "sendInterval" | "receiveInterval"> {
  const [, sends = "0", wants = "0"] = /^ *(\d{1,9}) *, *(\d{1,9}) *$/.exec(header ?? "") ?? [];
  const combine = (theirs: number) => own === 0 || theirs === 0 ? 0 : Math.max(own, theirs);
  return { sendInterval: combine(Number(wants)), receiveInterval: combine(Number(sends)) };
}

/** Explains an ERROR frame that answers CONNECT. */
function explain(error: StompError, { user, vhost }: StompServer): MqcatError {
  const { summary, details } = error;
  if (/^version/i.test(summary)) {
    return new IncompatiblePeerError(
      `The server speaks no version of STOMP that this client speaks (${
        VERSIONS.join(", ")
      }): ${details.trim()}`,
      { cause: error },
    );
  }
  const text = `${summary} ${details}`;
  if (/virtual host/i.test(text)) {
    return new RefusedError(
      `Virtual host '${vhost}' does not exist, or user '${user}' has no access to it (it is the parameter vhost of ` +
        "the URL)",
      { cause: error },
    );
  }
  if (/access refused|password|passcode|authenticat|non-loopback|not authorized/i.test(text)) {
    return new RefusedError(
      `Login refused for user '${user}': wrong user or password, or this user may log in only from the machine of ` +
        "the broker",
      { cause: error },
    );
  }
  return summary === "Bad CONNECT"
    ? new RefusedError(`The server refused the connection: ${details.trim()}`, { cause: error })
    : error;
}

interface First {
  readonly command: string;
  readonly headers: ReadonlyMap<string, string>;
  /** The body as text. */
  readonly details: string;
}

/** Waits for the first frame of a server, under one deadline. */
class FirstFrame implements StreamSink, StompSink {
  readonly frame: Promise<First>;
  /** Resolves when the system has taken CONNECT: the next write may follow. */
  readonly written: Promise<void>;
  readonly decoder: StompDecoder = new StompDecoder(this, { maxBody: MAX_FIRST_BODY });
  /** The frame arrived: the decoder keeps what follows. */
  overBacklog = false;
  /** Why the server is gone. */
  failure: Error | undefined;

  readonly #outcome = deferred<First>();
  readonly #drain = deferred<void>();
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(stream: ByteStream, timeout: number) {
    this.frame = this.#outcome.promise;
    this.written = this.#drain.promise;
    this.frame.catch(() => {}); // It may fail before it is awaited.
    this.#timer = setTimeout(
      () => this.#fail(new HandshakeTimeoutError(`No CONNECTED frame arrived within ${timeout / 1000} s`)),
      timeout,
    );
    stream.closed.then((cause) => this.#fail(cause ?? goodbye()));
    stream.attach(this);
  }

  onFrame({ command, headers, body, bodyStart, bodyEnd }: StompFrame): void {
    this.overBacklog = true;
    this.#outcome.resolve({
      command,
      headers: new Map(headers),
      details: new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)),
    });
  }

  onData(chunk: Uint8Array): void {
    if (this.failure !== undefined) return;
    try {
      this.decoder.push(chunk);
    } catch (error) {
      // Nothing but another protocol begins with bytes that are not a STOMP command.
      this.#fail(
        error instanceof ProtocolError
          ? new IncompatiblePeerError(error.message, { cause: error })
          : error as Error,
      );
    }
  }

  onEnd(): void {
    this.#fail(goodbye());
  }

  onDrain(): void {
    this.#drain.resolve();
  }

  /** Ends the time limit. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #fail(error: Error): void {
    this.end();
    this.failure ??= error;
    this.#outcome.reject(error);
    this.#drain.resolve();
  }
}

function goodbye(): UnreachableError {
  return new UnreachableError("The server closed the connection during the login: it may not speak STOMP");
}
