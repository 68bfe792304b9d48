import { AuthError, IncompatiblePeerError, ProtocolError } from "../errors.ts";
import type { ByteStream } from "../transport/stream.ts";
import { EMPTY } from "./bytes.ts";
import { encodeFrame } from "./frame_encoder.ts";
import { asFrameStream } from "./frame_stream.ts";
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
import type { HandshakeOptions } from "./handshake_options.ts";
import { type Cipher, type Mechanism, protocolOf } from "./mechanisms/mechanism.ts";
import { nullMechanism } from "./mechanisms/null.ts";
import type { PeerInfo } from "./peer_info.ts";
import { typeFromWire, typeToWire } from "./socket_type.ts";
import { StreamReader } from "./stream_reader.ts";
import { checkType, LISTEN_MS, orHungUp, StreamHandshakeIo } from "./handshake_io.ts";

/** How long a refused peer may take to read the reason before the connection is closed, in milliseconds. */
const FAREWELL_MS = 500;

const NULL = nullMechanism();

/** The WebSocket subprotocol without a mechanism. */
const BARE = "ZWS2.0";

/** The WebSocket subprotocols of a socket with this mechanism, the preferred one first (RFC 45). */
export function subprotocols(mechanism: Mechanism): string[] {
  return protocolOf(mechanism).optional ? [`${BARE}/NULL`, BARE] : [`${BARE}/${mechanism.name}`];
}

/** A peer that has completed the handshake. */
interface GreetedPeer {
  readonly peer: PeerInfo;
  /** Encrypts and decrypts all later traffic; undefined without encryption. */
  readonly cipher?: Cipher;
}

/** The result of a handshake: the peer, and the input that arrived after the handshake. */
export interface HandshakeResult extends GreetedPeer {
  /**
   * Returns the bytes that arrived after the handshake. Attach the next sink in the same task: bytes that arrive before
   * that are lost.
   */
  release(): Uint8Array;
  /** Whether the peer ended its half after those bytes. Call it together with `release`. */
  hasEnded(): boolean;
}

/**
 * Exchanges greetings with a peer, in the peer's version if it is older, and runs the security mechanism. A refused peer
 * gets an ERROR command with the reason. If this throws, the stream is closed or closing.
 *
 * @throws {ProtocolError} the peer does not speak ZMTP, or violates it
 * @throws {IncompatiblePeerError} the socket types or mechanisms of the two sides are incompatible
 * @throws {AuthError} one side does not accept the other's credentials
 * @throws {HandshakeTimeoutError} the deadline passed
 * @throws {UnreachableError} the peer closed the connection
 */
export async function handshake(stream: ByteStream, options: HandshakeOptions): Promise<HandshakeResult> {
  const reader = new StreamReader(stream, options.timeout);
  try {
    const ready = await greet(reader, stream, options);
    reader.finish();
    return { ...ready, release: () => reader.release(), hasEnded: () => reader.ended };
  } catch (error) {
    reader.finish();
    if (error instanceof IncompatiblePeerError || error instanceof AuthError) dismiss(stream);
    else stream.close(error as Error);
    throw error;
  }
}

async function greet(
  reader: StreamReader,
  stream: ByteStream,
  options: HandshakeOptions,
): Promise<GreetedPeer> {
  const { security = NULL, dialed = false } = options;
  // On a WebSocket, the subprotocol determines the mechanism, and the rest is as in ZMTP 3.0 (RFC 45).
  const subprotocol = asFrameStream(stream)?.subprotocol;
  if (subprotocol === BARE) return await greetBare(reader, options);
  if (subprotocol !== undefined) return await secure(reader, stream, options, "3.0");
  await reader.write(SIGNATURE);
  const [first] = await reader.peek(1);
  // The second byte shows whether a 01 is the identity frame of a 1.0 peer.
  checkSignature(await reader.peek(first === 1 ? 2 : 1));
  checkSignature((await reader.peek(SIGNATURE_LENGTH)).subarray(0, SIGNATURE_LENGTH));
  await reader.read(SIGNATURE_LENGTH);
  await reader.write(Uint8Array.of(MAJOR));
  const [major] = await reader.read(1);
  if (major === 0) throw tooOld();
  if (major! < MAJOR) {
    if (protocolOf(security).optional) return await greet2(reader, options);
    throw new IncompatiblePeerError(
      `the peer speaks ZMTP 2.0, which has no security, and this side requires ${security.name}`,
    );
  }
  // A libzmq peer that rejects our mechanism closes the connection, often before it has sent its own mechanism. The side
  // that dialed would then reconnect forever. So it waits for the peer's greeting before it sends the rest of its own. If
  // the peer waits, too, this costs one second.
  const rest = encodeRest(security.name, security.asServer);
  const sawRest = dialed && await reader.has(REST_LENGTH, LISTEN_MS);
  if (!sawRest) await reader.write(rest);
  const { minor, mechanism, asServer } = decodeRest(
    await orHungUp(reader.read(REST_LENGTH), dialed, `this side uses ${security.name} security`),
  );
  if (mechanism !== security.name) {
    // The peer needs our half of the greeting to see the reason.
    if (sawRest) await reader.write(rest).catch(() => {});
    throw new IncompatiblePeerError(
      `the peer uses ${mechanism || "an unnamed"} security, and this side uses ${security.name}`,
    );
  }
  if (sawRest) await reader.write(rest);
  if (asServer && security.asServer) {
    throw new IncompatiblePeerError(
      `both sides are ${mechanism} servers, and one of them must be the client`,
    );
  }
  return await secure(reader, stream, options, major === MAJOR && minor === 0 ? "3.0" : "3.1");
}

/** ZMTP 2.0 (RFC 15): the socket type, then the identity as a frame. */
async function greet2(reader: StreamReader, options: HandshakeOptions): Promise<GreetedPeer> {
  await reader.write(Uint8Array.of(typeToWire(options.socketType)));
  await reader.write(encodeFrame(options.identity ?? EMPTY));
  const [type] = await reader.read(1);
  const socketType = typeFromWire(type!);
  checkType(options.socketType, socketType);
  const [flags, length] = await reader.read(2);
  if (flags !== 0) {
    throw new ProtocolError(`The peer sent no identity frame (ZMTP 2.0, revision ${REVISION_2})`);
  }
  const identity = (await reader.read(length!)).slice();
  return { peer: { socketType, identity, version: "2.0", mechanism: "NULL", userId: "" } };
}

/** ZWS without a mechanism (RFC 45, "No Mechanism"): the identity as a frame. The peer does not send its socket type. */
async function greetBare(reader: StreamReader, options: HandshakeOptions): Promise<GreetedPeer> {
  await reader.write(encodeFrame(options.identity ?? EMPTY));
  const [flags, length] = await reader.read(2);
  if (flags !== 0) throw new ProtocolError("The peer's first frame is not its identity");
  const identity = (await reader.read(length!)).slice();
  return { peer: { socketType: "unnamed", identity, version: "3.0", mechanism: "NULL", userId: "" } };
}

/** Runs the mechanism that both sides agreed on. */
async function secure(
  reader: StreamReader,
  stream: ByteStream,
  options: HandshakeOptions,
  version: PeerInfo["version"],
): Promise<GreetedPeer> {
  const { security = NULL } = options;
  const io = new StreamHandshakeIo(reader, stream.remote, security, options);
  const { userId, cipher } = await protocolOf(security).exchange(io);
  const peer = { ...io.introduction!, version, mechanism: security.name, userId };
  return { peer, ...(cipher === undefined ? {} : { cipher }) };
}

/**
 * Ends our half, discards input, and closes the stream when the peer ends or after a delay. Closing at once, with unread
 * input, would reset the connection, and the peer could not read the reason of the refusal.
 */
function dismiss(stream: ByteStream): void {
  const timer = setTimeout(() => stream.close(), FAREWELL_MS);
  stream.closed.then(() => clearTimeout(timer));
  stream.attach({ onData() {}, onEnd: () => stream.close(), onDrain() {} });
  stream.resume();
  stream.end();
}
