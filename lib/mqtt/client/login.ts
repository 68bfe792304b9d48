import { HandshakeTimeoutError, IncompatiblePeerError, MqcatError, UnreachableError } from "../../errors.ts";
import type { Attempt } from "../../link/protocol.ts";
import { FrameBuffer } from "../../bytes/frame_buffer.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { MAX_TEXT } from "../text.ts";
import { PacketDecoder, type PacketSink } from "../packet_decoder.ts";
import { PacketEncoder } from "../packet_encoder.ts";
import { CONNACK, packetName, type ProtocolVersion } from "../packet_type.ts";
import { type Connack, decodeConnack } from "../packets.ts";
import { connackError, refusesVersion } from "./errors.ts";
import type { Session } from "./session.ts";
import type { MqttAddress } from "./url.ts";

/** A stream after the login. */
export interface LoggedIn {
  readonly stream: ByteStream;
  /** Keeps the bytes after the CONNACK until `resume`. */
  readonly decoder: PacketDecoder;
  readonly version: ProtocolVersion;
  readonly connack: Connack;
}

/** How answers of other protocols begin. */
const OTHERS: readonly [start: string, name: string][] = [
  ["AMQP", "an AMQP broker (its URLs begin with amqp://)"],
  ["HTTP/", "an HTTP server"],
  ["ERROR", "a STOMP broker (its URLs begin with stomp://)"],
  ["SSH-", "an SSH server"],
  ["\xff\0\0\0", "a ZeroMQ socket (its endpoints begin with tcp://)"],
  ["\x15\x03", "a TLS server (its URLs begin with mqtts://)"],
];

/**
 * Logs in with the newest version that the server accepts. The stream is closed on failure.
 *
 * @throws {RefusedError} wrong credentials, or a client identifier that the server does not accept
 * @throws {IncompatiblePeerError} the server does not speak MQTT, or none of the versions
 * @throws {ProtocolError | HandshakeTimeoutError | UnreachableError}
 */
export async function login(attempt: Attempt, address: MqttAddress, session: Session): Promise<LoggedIn> {
  const { versions } = session;
  let refused: MqcatError | undefined;
  for (const version of versions) {
    const stream = await attempt.dial();
    const answer = new Answer(stream, version);
    try {
      const connack = await answer.request(connectOf(version, address, session), attempt.remaining());
      await answer.written;
      const { code, properties } = connack;
      if (code === 0) {
        session.accepted = version;
        return { stream, decoder: answer.decoder, version, connack };
      }
      if (!refusesVersion(code)) {
        throw connackError(version, code, properties.reasonString, address, session.clientId);
      }
      refused = new IncompatiblePeerError(
        `The server does not speak ${versions.map(nameOf).join(" or ")} (CONNACK ${code})`,
      );
      // The next connection need not ask again.
      if (version !== versions.at(-1)) session.versions = versions.slice(versions.indexOf(version) + 1);
    } catch (error) {
      stream.close();
      // Some servers close the connection when they do not know the version. One that has accepted it was cut off.
      if (!answer.isClosed || version === versions.at(-1) || version === session.accepted) throw error;
      refused = error as MqcatError;
    }
    stream.close();
  }
  throw refused;
}

/** The name of a version, for messages. */
export function nameOf(version: ProtocolVersion): string {
  return version === 5 ? "MQTT 5.0" : version === 4 ? "MQTT 3.1.1" : "MQTT 3.1";
}

function connectOf(version: ProtocolVersion, { user, password }: MqttAddress, session: Session): Uint8Array {
  const encoder = new PacketEncoder(new FrameBuffer());
  encoder.version = version;
  encoder.connect({
    version,
    cleanStart: session.isCleanIn(version),
    keepAlive: session.keepAlive,
    properties: version < 5 ? {} : {
      ...(session.expiryIn(5) > 0 ? { sessionExpiryInterval: session.expiryIn(5) } : {}),
      receiveMaximum: session.receiveMaximum,
    },
    clientId: session.clientId,
    will: undefined,
    // MQTT 3.1.1 allows no password without a user name [MQTT-3.1.2-22].
    userName: user ?? (password === undefined ? undefined : ""),
    password: password === undefined ? undefined : new TextEncoder().encode(password),
  });
  return encoder.out.take();
}

/** Sends CONNECT, and waits for the CONNACK. */
class Answer implements StreamSink, PacketSink {
  readonly decoder: PacketDecoder;
  /** Further packets wait for the connection. */
  overBacklog = false;
  /** Resolves when the system has taken CONNECT, or the stream is closed: the next write may follow. */
  readonly written: Promise<void>;
  /** Whether the server closed the connection without an answer. */
  isClosed = false;

  readonly #stream: ByteStream;
  readonly #version: ProtocolVersion;
  #heard = false;
  #settle: (answer: Connack | Error) => void = () => {};
  #onWritten!: () => void;

  constructor(stream: ByteStream, version: ProtocolVersion) {
    this.#stream = stream;
    this.#version = version;
    this.decoder = new PacketDecoder(this);
    this.decoder.version = version;
    this.decoder.maxPacket = 4 * MAX_TEXT;
    this.written = new Promise((resolve) => this.#onWritten = resolve);
  }

  async request(connect: Uint8Array, timeout: number): Promise<Connack> {
    const answer = new Promise<Connack | Error>((resolve) => this.#settle = resolve);
    const late = () =>
      this.#settle(
        new HandshakeTimeoutError("The server did not answer CONNECT in time: it may speak another protocol"),
      );
    const timer = setTimeout(late, timeout);
    this.#stream.closed.then((cause) => this.#onClosed(cause));
    this.#stream.attach(this);
    this.#stream.write(connect);
    const result = await answer;
    clearTimeout(timer);
    if (result instanceof Error) throw result;
    return result;
  }

  onData(chunk: Uint8Array): void {
    if (!this.#heard && chunk.length > 0) {
      this.#heard = true;
      if (chunk[0] !== CONNACK << 4) return this.#settle(strange(chunk));
    }
    try {
      this.decoder.push(chunk);
    } catch (error) {
      this.#settle(error as Error);
    }
  }

  onEnd(): void {
    this.#onClosed(undefined);
  }

  onDrain(): void {
    this.#onWritten();
  }

  onPacket(type: number, _flags: number, bytes: Uint8Array, start: number, end: number): void {
    if (type !== CONNACK) {
      return this.#settle(
        new IncompatiblePeerError(`The server answered CONNECT with ${packetName(type)} instead of CONNACK`),
      );
    }
    this.overBacklog = true;
    this.#settle(decodeConnack(bytes, start, end, this.#version));
  }

  #onClosed(cause: Error | undefined): void {
    this.#onWritten();
    if (cause instanceof MqcatError && cause.code !== "ERR_UNREACHABLE") return this.#settle(cause);
    this.isClosed = !this.#heard;
    this.#settle(
      new UnreachableError("The server closed the connection instead of answering the login", { cause }),
    );
  }
}

/** The error for an answer that is no CONNACK. */
function strange(chunk: Uint8Array): IncompatiblePeerError {
  const start = String.fromCharCode(...chunk.subarray(0, 40));
  const known = OTHERS.find(([prefix]) => start.startsWith(prefix));
  return new IncompatiblePeerError(
    known === undefined
      ? `The server does not speak MQTT: its answer begins with ${JSON.stringify(start)}`
      : `The server does not speak MQTT: it is ${known[1]}`,
  );
}
