import { AuthError, IncompatiblePeerError, ProtocolError, UnreachableError } from "../errors.ts";
import { COMMAND, LONG } from "./batch.ts";
import { EMPTY, preview, text, utf8 } from "./bytes.ts";
import {
  encodeError,
  encodeMetadata,
  parseCommand,
  parseError,
  parseMetadata,
  type ZmtpCommand,
} from "./command.ts";
import type { HandshakeOptions } from "./handshake_options.ts";
import { type HandshakeIo, type Mechanism, protocolOf } from "./mechanisms/mechanism.ts";
import type { PeerInfo } from "./peer_info.ts";
import { incompatibility, legalPeers, type SocketType } from "./socket_type.ts";
import type { StreamReader } from "./stream_reader.ts";

/** The limit for a handshake command, in bytes. */
const MAX_COMMAND = 32 * 1024;
/** Identities have at most 255 bytes (RFC 23). */
const MAX_IDENTITY = 255;
/** How long the side that dialed waits for the peer to speak first, in milliseconds. */
export const LISTEN_MS = 1000;

/** The ERROR command of PLAIN in libzmq 4.3, which has a bug: in C, `"\x5ERROR"` begins with the character 5E. */
const LIBZMQ_ERROR = utf8("^RROR");

/** Reads and writes the commands of a mechanism on a stream. */
export class StreamHandshakeIo implements HandshakeIo {
  readonly metadata: Uint8Array;
  readonly dialed: boolean;
  readonly address: string;
  /** The peer's socket type and identity; set by `admit`. */
  introduction: Pick<PeerInfo, "socketType" | "identity"> | undefined;

  readonly #reader: StreamReader;
  readonly #own: SocketType;
  readonly #security: Mechanism;

  constructor(reader: StreamReader, remote: string, security: Mechanism, options: HandshakeOptions) {
    this.#reader = reader;
    this.#own = options.socketType;
    this.#security = security;
    this.dialed = options.dialed ?? false;
    this.address = addressOf(remote);
    this.metadata = encodeMetadata(metadata(options));
  }

  send(frame: Uint8Array): Promise<void> {
    return this.#reader.write(frame);
  }

  peerSpeaksFirst(): Promise<boolean> {
    return this.#reader.has(1, LISTEN_MS);
  }

  wait<T>(work: Promise<T>): Promise<T> {
    return this.#reader.wait(work);
  }

  async take(wanted: string, hungUp?: (cause: Error) => Error): Promise<Uint8Array> {
    const learned = `this is a ${this.#own} socket, which talks to ${legalPeers(this.#own)}`;
    const { name, data } = await orHungUp(readCommand(this.#reader), this.dialed, learned, hungUp);
    if (name === "ERROR") throw this.#refused(parseError(data));
    if (name === wanted) return data;
    throw new ProtocolError(`The peer sent ${name} where ${wanted} was expected`);
  }

  async admit(metadata: Uint8Array, reply = true): Promise<void> {
    const properties = parseMetadata(metadata);
    const type = properties.get("socket-type");
    if (type === undefined) throw new ProtocolError("The peer's metadata has no socket type");
    const socketType = text(type);
    if (reply && incompatibility(this.#own, socketType) !== undefined) {
      // The peer may have closed the connection already. The result is the same.
      await this.send(encodeError(reverse(this.#own, socketType))).catch(() => {});
    }
    checkType(this.#own, socketType);
    const identity = properties.get("identity") ?? EMPTY;
    if (identity.length > MAX_IDENTITY) throw new ProtocolError("The peer's identity is over 255 bytes");
    this.introduction = { socketType, identity };
  }

  /** Converts the reason of an ERROR: libzmq sends the ZAP status as the reason (RFC 27), other peers send text. */
  #refused(reason: string): Error {
    const { credentials } = protocolOf(this.#security);
    switch (reason) {
      case "300":
        return new UnreachableError(`The peer does not accept ${credentials} for now (300)`);
      case "400":
        return new AuthError(`The peer does not accept ${credentials} (400)`);
      case "500":
        return new AuthError(`The peer could not check ${credentials} (500)`);
      default:
        return new IncompatiblePeerError(`the peer refused: ${reason}`);
    }
  }
}

function metadata(options: HandshakeOptions): [string, Uint8Array][] {
  const properties: [string, Uint8Array][] = [["Socket-Type", utf8(options.socketType)]];
  if (["REQ", "DEALER", "ROUTER"].includes(options.socketType)) {
    properties.push(["Identity", options.identity ?? EMPTY]);
  }
  return properties;
}

async function readCommand(reader: StreamReader): Promise<ZmtpCommand> {
  const [flags, short] = await reader.peek(2);
  if ((flags! & ~LONG) !== COMMAND) {
    throw new ProtocolError(`The peer sent ${preview(await reader.peek(2))} where a command was expected`);
  }
  let length = short!;
  if ((flags! & LONG) !== 0) {
    const header = await reader.read(9);
    length = header.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  } else await reader.read(2);
  if (length > MAX_COMMAND) {
    throw new ProtocolError(
      `The peer announced a handshake command of ${length} bytes; the limit is ${MAX_COMMAND}`,
    );
  }
  const body = await reader.read(length);
  if (LIBZMQ_ERROR.every((byte, at) => body[at] === byte)) {
    return { name: "ERROR", data: body.subarray(LIBZMQ_ERROR.length) };
  }
  return parseCommand(body);
}

/** @throws {IncompatiblePeerError} the two socket types are incompatible */
export function checkType(own: SocketType, peer: string): void {
  const mismatch = incompatibility(own, peer);
  if (mismatch !== undefined) throw new IncompatiblePeerError(mismatch);
}

/**
 * Explains why a peer closed the connection during the handshake. Where our side dialed, the cause may be temporary: the
 * error stays as it is, and our side connects again.
 *
 * @param learned the fact about our side that the peer saw last
 * @param hungUp converts the error, for a mechanism that knows a more likely cause
 */
export async function orHungUp<T>(
  reading: Promise<T>,
  dialed: boolean,
  learned: string,
  hungUp?: (cause: Error) => Error,
): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (hungUp !== undefined && error instanceof UnreachableError) throw hungUp(error);
    if (dialed || !(error instanceof UnreachableError)) throw error;
    throw new UnreachableError(
      `The peer closed the connection during the handshake; it knew that ${learned}`,
      {
        cause: error,
      },
    );
  }
}

/** The reason for an incompatible peer, from the peer's point of view. */
function reverse(own: SocketType, peer: string): string {
  return `a ${own} socket cannot talk to a ${peer} socket`;
}

/** The host in a peer's endpoint (RFC 27, "address"); empty for transports without hosts. */
function addressOf(remote: string): string {
  return /^\w+:\/\/\[?([^/@]*?)\]?:\d+(?:\/|$)/.exec(remote)?.[1] ?? "";
}
