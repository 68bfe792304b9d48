import { deferred } from "../../transport/deferred.ts";
import { FrameBuffer } from "../../bytes/frame_buffer.ts";
import { HandshakeTimeoutError, ProtocolError, UnreachableError } from "../../errors.ts";
import { MqttError } from "../../mqtt/mqtt_error.ts";
import { PacketDecoder, type PacketSink } from "../../mqtt/packet_decoder.ts";
import { PacketEncoder } from "../../mqtt/packet_encoder.ts";
import { CONNECT, packetName, type ProtocolVersion } from "../../mqtt/packet_type.ts";
import { type Connect, decodeConnect } from "../../mqtt/packets.ts";
import { REASON } from "../../mqtt/reason_code.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { randomName } from "../core/clients/names.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Authenticator } from "../core/users/authenticator.ts";
import { type Access, GUEST } from "../core/users/user_store.ts";
import { exchangeSeparators } from "./names.ts";
import { returnCodeOf } from "./replies.ts";

/** A client that may connect. */
export interface MqttLogin {
  readonly connect: Connect;
  /** The identifier of the client, or the one that it gets [MQTT-3.2.2-16]. */
  readonly clientId: string;
  readonly decoder: PacketDecoder;
  readonly user: string;
  readonly vhost: VirtualHost;
  readonly access: Access;
  /** Answers with the reason of a refusal, and closes the stream. */
  refuse(error: Error): Promise<void>;
}

/** The credentials are wrong. */
export class LoginRefused extends MqttError {}

/** Time for a refused client to take our answer and to close the connection, in milliseconds. */
const FAREWELL_MS = 2000;

/** Waits for the first packet of a client, under a deadline. */
class FirstPacket implements StreamSink, PacketSink {
  readonly decoder: PacketDecoder = new PacketDecoder(this);
  readonly connect: Promise<Connect>;
  /** Stops the decoder after the first packet. */
  overBacklog = false;
  #drained: (() => void) | undefined;
  readonly #stream: ByteStream;
  readonly #resolve: (connect: Connect) => void;
  readonly #reject: (error: Error) => void;
  /** Whether the client gets an answer that refuses it: its further input is ignored. */
  refused = false;
  /** The version of the client, as far as it is known. */
  version: ProtocolVersion | undefined;
  /** The size limit of the client for packets, in bytes. */
  maxAnswer = Infinity;

  constructor(stream: ByteStream, maxPacket: number) {
    this.#stream = stream;
    this.decoder.maxPacket = maxPacket;
    const { promise, resolve, reject } = deferred<Connect>();
    this.connect = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // It may fail before somebody waits for it.
    promise.catch(() => {});
  }

  onData(chunk: Uint8Array): void {
    if (this.refused) return;
    try {
      this.decoder.push(chunk);
    } catch (error) {
      this.#reject(error as Error);
    }
  }

  onEnd(): void {
    this.#reject(new UnreachableError("The client went away during the login"));
  }

  onDrain(): void {
    this.#drained?.();
  }

  onPacket(type: number, _flags: number, bytes: Uint8Array, start: number, end: number): void {
    this.overBacklog = true;
    this.#stream.pause();
    if (type !== CONNECT) { // [MQTT-3.1.0-1]
      return this.#reject(
        new ProtocolError(`The first packet of a client is ${packetName(type)} instead of CONNECT`),
      );
    }
    this.version = versionOf(bytes, start, end);
    try {
      const connect = decodeConnect(bytes, start, end);
      this.maxAnswer = connect.properties.maximumPacketSize ?? Infinity;
      this.#resolve(connect);
    } catch (error) {
      this.#reject(error as Error);
    }
  }

  /** Writes the last bytes to a client. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#stream.write(bytes);
    });
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}

/** The version that an answer is understood in; undefined if the client does not speak MQTT. */
function versionOf(bytes: Uint8Array, start: number, end: number): ProtocolVersion | undefined {
  const length = bytes[start + 1]!;
  const name = String.fromCharCode(
    ...bytes.subarray(start + 2, Math.min(end, start + 2 + Math.min(length, 6))),
  );
  if (name !== "MQTT" && name !== "MQIsdp") return undefined;
  const level = bytes[start + 2 + length] ?? 0;
  return level >= 5 ? 5 : level === 3 ? 3 : 4;
}

/**
 * Logs a client in (MQTT 5.0, 3.1.4), as far as the first answer. If that fails, the client gets the reason, and its
 * stream is closed.
 *
 * @throws {MqttError | ProtocolError | HandshakeTimeoutError | UnreachableError}
 */
export async function readLogin(
  stream: ByteStream,
  options: { readonly handshakeTimeout: number; readonly maxPacket: number },
  authenticator: Authenticator,
  vhosts: ReadonlyMap<string, VirtualHost>,
  isLocal: boolean,
  admit: (login: MqttLogin) => void,
): Promise<MqttLogin> {
  const first = new FirstPacket(stream, options.maxPacket);
  const timer = setTimeout(
    () =>
      first.fail(
        new HandshakeTimeoutError(`The client sent no CONNECT within ${options.handshakeTimeout} ms`),
      ),
    options.handshakeTimeout,
  );
  stream.closed.then((cause) =>
    first.fail(cause ?? new UnreachableError("The client went away during the login"))
  );
  stream.attach(first);
  try {
    const connect = await first.connect;
    if (connect.properties.authenticationMethod !== undefined) { // 4.12
      throw new MqttError(
        REASON.badAuthenticationMethod,
        `The client uses the authentication method '${connect.properties.authenticationMethod}': none is supported`,
      );
    }
    const clientId = connect.clientId === "" ? `mqcat-${randomName()}` : connect.clientId;
    const login = {
      ...authenticate(connect, clientId, authenticator, vhosts, isLocal),
      connect,
      clientId,
      decoder: first.decoder,
      refuse: (error: Error) => refuse(stream, first, error),
    };
    admit(login);
    return login;
  } catch (error) {
    await refuse(stream, first, error as Error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Checks the user, the password and the virtual host: `user`, or `vhost:user` as in RabbitMQ. */
function authenticate(
  { userName, password }: Connect,
  clientId: string,
  authenticator: Authenticator,
  vhosts: ReadonlyMap<string, VirtualHost>,
  isLocal: boolean,
): Pick<MqttLogin, "user" | "vhost" | "access"> {
  const given = userName ?? GUEST;
  const colon = given.lastIndexOf(":");
  const named = colon < 0 ? undefined : vhosts.get(given.slice(0, colon));
  const user = named === undefined ? given : given.slice(colon + 1);
  const vhost = named ?? vhosts.get("/");
  // Without a name the client is the guest, who can only connect from this machine.
  const secret = userName === undefined ? new TextEncoder().encode(GUEST) : password ?? new Uint8Array(0);
  const refusal = authenticator.authenticate(user, secret, isLocal);
  if (refusal !== undefined) throw new LoginRefused(REASON.badUserNameOrPassword, refusal);
  const access = vhost === undefined
    ? undefined
    : authenticator.accessTo(user, vhost.name, exchangeSeparators(clientId));
  if (vhost === undefined || access === undefined) {
    throw new MqttError(REASON.notAuthorized, `User '${user}' has no access to the virtual host`);
  }
  return { user, vhost, access };
}

/** Answers a CONNECT with the reason of a refusal, and closes the stream [MQTT-3.1.4-2]. */
async function refuse(stream: ByteStream, first: FirstPacket, error: Error): Promise<void> {
  const { version } = first;
  if (!(error instanceof MqttError) || version === undefined) return stream.close(error);
  // Before MQTT 5.0 a malformed CONNECT closes the connection without an answer [MQTT-3.1.4-1].
  const isMalformed = error.reasonCode === REASON.malformedPacket ||
    error.reasonCode === REASON.protocolError;
  if (version < 5 && isMalformed) return stream.close(error);
  const encoder = new PacketEncoder(new FrameBuffer());
  encoder.version = version;
  const code = version === 5 ? error.reasonCode : returnCodeOf(error.reasonCode);
  // A client does not learn which part of its credentials is wrong.
  const reason = error instanceof LoginRefused ? {} : { reasonString: error.message };
  encoder.connack({ sessionPresent: false, code, properties: reason });
  if (encoder.out.length > first.maxAnswer) { // [MQTT-3.2.2-19]
    encoder.out.length = 0;
    encoder.connack({ sessionPresent: false, code, properties: {} });
  }
  const timer = setTimeout(() => stream.close(error), FAREWELL_MS);
  await Promise.race([first.write(encoder.out.take()), stream.closed]);
  // The client may have sent more after its CONNECT. If that stayed unread, our close would become a reset, which
  // discards the answer.
  first.refused = true;
  stream.end();
  stream.resume();
  await stream.closed;
  clearTimeout(timer);
}
