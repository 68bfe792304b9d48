import { AmqpError, amqpError } from "../../amqp/amqp_error.ts";
import { isCapable } from "../../amqp/capabilities.ts";
import { FrameReader } from "../../amqp/frames/frame_reader.ts";
import { FRAME_MIN_SIZE, PROTOCOL_HEADER } from "../../amqp/frames/frame.ts";
import { FrameEncoder } from "../../amqp/frames/frame_encoder.ts";
import type { GivenArgs, MethodArgs, MethodName } from "../../amqp/method_args.ts";
import { methodId } from "../../amqp/method_codec.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { IncompatiblePeerError, messageOf, ProtocolError } from "../../errors.ts";
import type { ByteStream } from "../../transport/stream.ts";
import { DUMP } from "../../amqp/dump.ts";
import { PEEK, WHERE } from "../../amqp/peek.ts";
import { replyFor } from "./replies.ts";
import type { Authenticator } from "../core/users/authenticator.ts";
import { certificateName, type CertLoginFrom } from "../core/users/certificate_name.ts";
import type { Access } from "../core/users/user_store.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import { readCredentials } from "./sasl.ts";

/** The identity and the limits of the server. */
export interface ServerOptions {
  readonly product: string;
  readonly productVersion: string;
  /** The largest frame, in bytes. */
  readonly frameMax: number;
  readonly channelMax: number;
  /** Heartbeat interval that the server suggests, in seconds; 0 for none. */
  readonly heartbeat: number;
  /** For the whole handshake, in milliseconds. */
  readonly handshakeTimeout: number;
  /** How the user name is taken from a client certificate. */
  readonly certLoginFrom: CertLoginFrom;
}

/** A successful login. */
export interface ServerLogin {
  readonly reader: FrameReader;
  readonly user: string;
  readonly vhost: VirtualHost;
  readonly access: Access;
  readonly clientProperties: FieldTable;
  readonly frameMax: number;
  readonly channelMax: number;
  /** Heartbeat interval in seconds; 0 for none. */
  readonly heartbeat: number;
}

const CAPABILITIES: FieldTable = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  "basic.nack": true,
  consumer_cancel_notify: true,
  "connection.blocked": true,
  consumer_priorities: true,
  authentication_failure_close: true,
  per_consumer_qos: true,
  direct_reply_to: true,
  [PEEK]: true,
  [DUMP]: true,
  [WHERE]: true,
};

const MECHANISMS = "PLAIN AMQPLAIN";

/** Time for a refused client to answer our close, in milliseconds. */
const FAREWELL_MS = 2000;

/**
 * Logs a client in (AMQP 0-9-1, 2.2.4): protocol header, authentication, tuning, virtual host, under one deadline. If
 * that fails, the client gets the error, and its stream is closed.
 *
 * @param reserve reserves a connection within the limits of the user and the virtual host
 * @throws {AmqpError} the error that was sent to the client
 * @throws {ProtocolError | IncompatiblePeerError | HandshakeTimeoutError | UnreachableError}
 */
export async function serverHandshake(
  stream: ByteStream,
  server: ServerOptions,
  authenticator: Authenticator,
  vhosts: ReadonlyMap<string, VirtualHost>,
  isLocal: boolean,
  reserve: (user: string, vhost: VirtualHost) => void = () => {},
): Promise<ServerLogin> {
  const reader = new FrameReader(stream, server.handshakeTimeout, "server");
  const encoder = new FrameEncoder();
  const send = async <Name extends MethodName>(name: Name, args: GivenArgs<Name>) => {
    encoder.method(0, name, args);
    await reader.write(encoder.out.take());
  };
  /** The method that must come next. */
  let expected: MethodName = "connection.start-ok";
  try {
    await reader.protocolHeader();
    await send("connection.start", {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: {
        capabilities: CAPABILITIES,
        product: server.product,
        version: server.productVersion,
        platform: "mqcat",
        information: "An embedded AMQP 0-9-1 broker",
      },
      mechanisms: new TextEncoder().encode(
        stream.peerCertificate === undefined ? MECHANISMS : `${MECHANISMS} EXTERNAL`,
      ),
      locales: new TextEncoder().encode("en_US"),
    });
    const start = await expect(reader, expected);
    const { clientProperties } = start;
    const name = logIn(start, stream.peerCertificate, server.certLoginFrom, authenticator, isLocal);
    const { frameMax, channelMax, heartbeat } = server;
    await send("connection.tune", { frameMax, channelMax, heartbeat });
    expected = "connection.tune-ok";
    const tuned = tune(await expect(reader, expected), server);
    expected = "connection.open";
    const { virtualHost } = await expect(reader, expected);
    const vhost = vhosts.get(virtualHost);
    if (vhost === undefined) throw amqpError(530, `vhost ${virtualHost} not found`);
    const access = authenticator.accessTo(name, virtualHost);
    if (access === undefined) {
      throw amqpError(530, `access to vhost '${virtualHost}' refused for user '${name}'`);
    }
    reserve(name, vhost);
    await send("connection.open-ok", {});
    return { ...tuned, reader, user: name, vhost, access, clientProperties };
  } catch (error) {
    await refuse(stream, reader, encoder, error, methodId(expected));
    throw error;
  }
}

/**
 * Checks the login of a client: by its certificate with EXTERNAL (RFC 4422, appendix A), else by its password.
 *
 * @param certificate the verified certificate of the client
 * @returns the name of the user
 * @throws {AmqpError} the login is malformed or refused
 */
function logIn(
  { clientProperties, mechanism, response }: MethodArgs<"connection.start-ok">,
  certificate: Uint8Array | undefined,
  certLoginFrom: CertLoginFrom,
  authenticator: Authenticator,
  isLocal: boolean,
): string {
  let name: string | undefined;
  let refusal: string | undefined;
  if (mechanism === "EXTERNAL" && certificate !== undefined) {
    name = certificateName(certificate, certLoginFrom);
    refusal = name === undefined
      ? `the client certificate has no ${certLoginFrom.replace("_", " ")} that can be read`
      : authenticator.authenticateCertificate(name, isLocal);
  } else {
    const credentials = readCredentials(mechanism, response);
    name = credentials.name;
    refusal = authenticator.authenticate(name, credentials.password, isLocal);
  }
  if (name !== undefined && refusal === undefined) return name;
  const wantsClose = isCapable(clientProperties, "authentication_failure_close");
  throw new LoginRefused(name ?? "", refusal ?? "there is no name", wantsClose, mechanism);
}

/** The credentials are wrong. The client does not get the reason. */
export class LoginRefused extends AmqpError {
  readonly user: string;
  /** For the events of the broker only. */
  readonly reason: string;
  /** Whether the client understands a close at this point. */
  readonly wantsClose: boolean;

  constructor(user: string, reason: string, wantsClose: boolean, mechanism: string) {
    super(
      403,
      `ACCESS_REFUSED - Login was refused using authentication mechanism ${mechanism}. ` +
        "For details see the broker logfile.",
      { scope: "connection" },
    );
    this.user = user;
    this.reason = reason;
    this.wantsClose = wantsClose;
  }
}

async function expect<Name extends MethodName>(reader: FrameReader, name: Name): Promise<MethodArgs<Name>> {
  const method = await reader.read();
  if (method.name === name) return method.args as MethodArgs<Name>;
  if (method.name === "connection.close") throw new ProtocolError("The client closed during the handshake");
  throw amqpError(503, `expected ${name}, got ${method.name}`, { method: methodId(method.name) });
}

/** Checks the limits that the client chose; 0 stands for no limit. */
function tune(asked: MethodArgs<"connection.tune-ok">, server: ServerOptions): Omit<
  ServerLogin,
  "reader" | "user" | "vhost" | "access" | "clientProperties"
> {
  const { frameMax, channelMax, heartbeat } = asked;
  if (frameMax !== 0 && frameMax < FRAME_MIN_SIZE) {
    throw notAllowed("frame_max", frameMax, "lower than the minimum", FRAME_MIN_SIZE);
  }
  if (frameMax > server.frameMax) {
    throw notAllowed("frame_max", frameMax, "higher than the maximum", server.frameMax);
  }
  if (channelMax > server.channelMax || channelMax === 0) {
    throw notAllowed(
      "channel_max",
      channelMax,
      channelMax === 0 ? "no limit, which is higher than the maximum" : "higher than the maximum",
      server.channelMax,
    );
  }
  return { frameMax: frameMax || server.frameMax, channelMax, heartbeat };
}

function notAllowed(name: string, value: number, what: string, limit: number): AmqpError {
  return amqpError(530, `negotiated ${name} = ${value} is ${what} allowed value (${limit})`);
}

/** Sends the error in the form that the client understands at this point, and closes its stream. */
async function refuse(
  stream: ByteStream,
  reader: FrameReader,
  encoder: FrameEncoder,
  error: unknown,
  method: number,
): Promise<void> {
  const timer = setTimeout(() => stream.close(), FAREWELL_MS);
  try {
    if (!reader.decoder.started) {
      if (error instanceof ProtocolError || error instanceof IncompatiblePeerError) {
        await reader.sayLast(PROTOCOL_HEADER);
      }
    } else if (error instanceof LoginRefused ? error.wantsClose : error instanceof AmqpError) {
      // The reply to a refused login names no method, as in RabbitMQ.
      encoder.method(0, "connection.close", replyFor(error, error instanceof LoginRefused ? 0 : method));
      await reader.sayLast(encoder.out.take());
    }
  } catch (failure) {
    stream.close(new ProtocolError(messageOf(failure)));
  } finally {
    clearTimeout(timer);
    reader.fail(error as Error);
    stream.close();
  }
}
