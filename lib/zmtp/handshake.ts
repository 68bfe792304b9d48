import { IncompatiblePeerError, ProtocolError, UnreachableError } from "../errors.ts";
import type { ByteStream } from "../transport/stream.ts";
import { COMMAND, LONG } from "./batch.ts";
import { EMPTY, preview, text, utf8 } from "./bytes.ts";
import {
  type Command,
  encodeError,
  encodeReady,
  parseCommand,
  parseError,
  parseMetadata,
} from "./command.ts";
import { encodeFrame } from "./frame_encoder.ts";
import {
  checkSignature,
  decodeRest,
  encodeRest,
  MAJOR,
  REST_LENGTH,
  REVISION_2,
  SIGNATURE,
  SIGNATURE_LENGTH,
  tooOld,
} from "./greeting.ts";
import { incompatibility, legalPeers, type SocketType, typeFromWire, typeToWire } from "./socket_type.ts";
import { StreamReader } from "./stream_reader.ts";

/** A handshake command over this size is nobody's, in bytes. */
const MAX_COMMAND = 32 * 1024;
/** Identities have at most 255 bytes (RFC 23). */
const MAX_IDENTITY = 255;
/** How long a peer that was refused may take to read why, in milliseconds. */
const FAREWELL_MS = 500;
/** How long the side that dialed lets the other one speak first, in milliseconds. */
const LISTEN_MS = 1000;

/** What we say of ourselves. */
export interface HandshakeOptions {
  readonly socketType: SocketType;
  /** The routing id that a ROUTER at the other end will know us by; empty unless told. */
  readonly identity?: Uint8Array;
  /** Whether we connected to the peer, and not it to us; false unless told. */
  readonly dialed?: boolean;
  /** For the whole handshake, in milliseconds. */
  readonly timeout: number;
}

/** What the peer said of itself. */
export interface PeerInfo {
  readonly socketType: string;
  readonly identity: Uint8Array;
  readonly version: "3.1" | "3.0" | "2.0";
}

/** A peer that is ready. */
export interface HandshakeResult {
  readonly peer: PeerInfo;
  /**
   * Gives back the bytes that came behind the handshake. The next sink must be attached in the same task, or bytes
   * that come in between are lost.
   */
  release(): Uint8Array;
  /** Whether the peer ended its half right behind those bytes; asked when they are released. */
  hasEnded(): boolean;
}

/**
 * Greets a peer, in its own version if it is older, with the NULL mechanism. A peer that is refused is told why.
 * When this throws, the stream is closed or closing.
 *
 * @throws {ProtocolError} the peer does not speak ZMTP, or breaks it
 * @throws {IncompatiblePeerError} its socket type or mechanism does not fit, or it said so of ours
 * @throws {HandshakeTimeoutError} it is silent
 * @throws {UnreachableError} it went away
 */
export async function handshake(stream: ByteStream, options: HandshakeOptions): Promise<HandshakeResult> {
  const reader = new StreamReader(stream, options.timeout);
  try {
    const peer = await greet(reader, options);
    reader.finish();
    return { peer, release: () => reader.release(), hasEnded: () => reader.ended };
  } catch (error) {
    reader.finish();
    if (error instanceof IncompatiblePeerError) dismiss(stream);
    else stream.close(error as Error);
    throw error;
  }
}

async function greet(reader: StreamReader, options: HandshakeOptions): Promise<PeerInfo> {
  await reader.write(SIGNATURE);
  checkSignature(await reader.peek(1));
  checkSignature((await reader.peek(SIGNATURE_LENGTH)).subarray(0, SIGNATURE_LENGTH));
  await reader.read(SIGNATURE_LENGTH);
  await reader.write(Uint8Array.of(MAJOR));
  const [revision] = await reader.read(1);
  if (revision === 0) throw tooOld();
  return revision! < MAJOR ? await greet2(reader, options) : await greet3(reader, options, revision!);
}

/** ZMTP 2.0 (RFC 15): the socket type, then the identity as a frame. */
async function greet2(reader: StreamReader, options: HandshakeOptions): Promise<PeerInfo> {
  await reader.write(Uint8Array.of(typeToWire(options.socketType)));
  await reader.write(encodeFrame(options.identity ?? EMPTY));
  const [type] = await reader.read(1);
  const socketType = typeFromWire(type!);
  checkType(options.socketType, socketType);
  const [flags, length] = await reader.read(2);
  if (flags !== 0) {
    throw new ProtocolError(`The peer sent no identity frame (ZMTP 2.0, revision ${REVISION_2})`);
  }
  return { socketType, identity: (await reader.read(length!)).slice(), version: "2.0" };
}

async function greet3(reader: StreamReader, options: HandshakeOptions, major: number): Promise<PeerInfo> {
  const { socketType: own, dialed = false } = options;
  // A libzmq that does not like our mechanism or type hangs up, often before it told us its own. So whoever dialed, and
  // would try again and again, looks first; an acceptor that does the same gets our word a little later.
  const rest = encodeRest("NULL", false);
  const sawRest = dialed && await reader.has(REST_LENGTH, LISTEN_MS);
  if (!sawRest) await reader.write(rest);
  const { minor, mechanism } = decodeRest(
    await orHungUp(reader.read(REST_LENGTH), dialed, "this side speaks NULL security"),
  );
  if (mechanism !== "NULL") {
    throw new IncompatiblePeerError(
      `the peer wants ${mechanism || "an unnamed"} security, and this side speaks NULL`,
    );
  }
  if (sawRest) await reader.write(rest);
  const ready = encodeReady(metadata(options));
  const sawReady = dialed && await reader.has(1, LISTEN_MS);
  if (!sawReady) await reader.write(ready);
  const { name, data } = await orHungUp(
    readCommand(reader),
    dialed,
    `this is a ${own} socket, which talks to ${legalPeers(own)}`,
  );
  if (name === "ERROR") throw new IncompatiblePeerError(`the peer refused: ${parseError(data)}`);
  if (name !== "READY") throw new ProtocolError(`The peer sent ${name} where READY was expected`);
  const properties = parseMetadata(data);
  const type = properties.get("socket-type");
  if (type === undefined) throw new ProtocolError("The peer did not say its socket type");
  const socketType = text(type);
  if (incompatibility(own, socketType) !== undefined) {
    // It may have hung up by now, which changes nothing.
    await reader.write(encodeError(reverse(own, socketType))).catch(() => {});
  }
  checkType(own, socketType);
  const identity = properties.get("identity") ?? EMPTY;
  if (identity.length > MAX_IDENTITY) throw new ProtocolError("The peer's identity is over 255 bytes");
  if (sawReady) await reader.write(ready);
  return { socketType, identity, version: major === MAJOR && minor === 0 ? "3.0" : "3.1" };
}

function metadata(options: HandshakeOptions): [string, Uint8Array][] {
  const properties: [string, Uint8Array][] = [["Socket-Type", utf8(options.socketType)]];
  if (["REQ", "DEALER", "ROUTER"].includes(options.socketType)) {
    properties.push(["Identity", options.identity ?? EMPTY]);
  }
  return properties;
}

async function readCommand(reader: StreamReader): Promise<Command> {
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
  return parseCommand(await reader.read(length));
}

function checkType(own: SocketType, peer: string): void {
  const mismatch = incompatibility(own, peer);
  if (mismatch !== undefined) throw new IncompatiblePeerError(mismatch);
}

/** Explains a peer that dialed us and went in the middle; where we dialed, that may pass and is tried again. */
async function orHungUp<T>(reading: Promise<T>, dialed: boolean, learned: string): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (dialed || !(error instanceof UnreachableError)) throw error;
    throw new UnreachableError(`The peer hung up when it learned that ${learned}`, { cause: error });
  }
}

/** The mismatch as the peer must see it. */
function reverse(own: SocketType, peer: string): string {
  return `a ${own} socket cannot talk to a ${peer} socket`;
}

/** Lets a refused peer read our last words: closing with unread bytes would reset the connection under them. */
function dismiss(stream: ByteStream): void {
  const timer = setTimeout(() => stream.close(), FAREWELL_MS);
  stream.closed.then(() => clearTimeout(timer));
  stream.attach({ onData() {}, onEnd: () => stream.close(), onDrain() {} });
  stream.resume();
  stream.end();
}
