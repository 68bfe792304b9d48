import { IncompatiblePeerError, ProtocolError, RefusedError, UnreachableError } from "../../errors.ts";
import type { ByteStream } from "../../transport/stream.ts";
import { AmqpError, errorFromClose } from "../amqp_error.ts";
import { isCapable } from "../capabilities.ts";
import { FRAME_MIN_SIZE, PROTOCOL_HEADER } from "../frames/frame.ts";
import { FrameEncoder } from "../frames/frame_encoder.ts";
import type { GivenArgs, MethodArgs, MethodName } from "../method_args.ts";
import type { FieldTable } from "../types/field_value.ts";
import { FrameReader } from "../frames/frame_reader.ts";
import { DUMP } from "../dump.ts";
import { PEEK, WHERE } from "../peek.ts";
import type { BrokerAddress } from "./url.ts";

/** The largest frame, in bytes, and the number of channels that the client offers; the server may reduce them. */
const FRAME_MAX = 131072;
const CHANNEL_MAX = 2047;

const CAPABILITIES: FieldTable = {
  publisher_confirms: true,
  "basic.nack": true,
  consumer_cancel_notify: true,
  "connection.blocked": true,
  authentication_failure_close: true,
};

/** The result of a handshake. */
export interface Tuned {
  readonly reader: FrameReader;
  readonly frameMax: number;
  readonly channelMax: number;
  /** The heartbeat interval in seconds; 0 disables heartbeats. */
  readonly heartbeat: number;
  /** Product and version of the server. */
  readonly server: string;
  /** Whether the server can show messages without delivering them. */
  readonly peeks: boolean;
  /** Whether the server supports `dump.ts`. */
  readonly dumps: boolean;
  /** Whether the server has filters, and can count, delete and move messages in place. */
  readonly sweeps: boolean;
}

/**
 * Logs in and opens the virtual host (AMQP 0-9-1, 2.2.4). Closes the stream on failure.
 *
 * @param timeout the time limit, in milliseconds
 * @throws {RefusedError} wrong credentials, or a virtual host that does not exist or that the user has no access to
 * @throws {IncompatiblePeerError | ProtocolError | HandshakeTimeoutError | UnreachableError | AmqpError}
 */
export async function handshake(stream: ByteStream, broker: BrokerAddress, timeout: number): Promise<Tuned> {
  const reader = new FrameReader(stream, timeout);
  const encoder = new FrameEncoder();
  const send = async <Name extends MethodName>(name: Name, args: GivenArgs<Name>) => {
    encoder.method(0, name, args);
    await reader.write(encoder.out.take());
  };
  try {
    // The end of the connection may be noticed by either.
    const start = await reader.write(PROTOCOL_HEADER).then(() => expect(reader, "connection.start"))
      .catch((error) => {
        throw explainStart(error, broker);
      });
    const mechanisms = new TextDecoder().decode(start.mechanisms).split(" ");
    const { mechanism = "PLAIN", connectionName } = broker;
    if (!mechanisms.includes(mechanism)) {
      throw new IncompatiblePeerError(
        `The server does not offer the authentication mechanism ${mechanism}: it offers ${
          mechanisms.join(", ")
        }`,
      );
    }
    await send("connection.start-ok", {
      clientProperties: {
        product: "mqcat",
        capabilities: CAPABILITIES,
        ...(connectionName === undefined ? {} : { connection_name: connectionName }),
      },
      mechanism,
      response: new TextEncoder().encode(mechanism === "PLAIN" ? `\0${broker.user}\0${broker.password}` : ""),
      locale: "en_US",
    });
    const tune = await expect(reader, "connection.tune").catch((error) => {
      // A server with this capability reports a refused login, so another failure has another reason.
      throw explainLogin(error, broker, isCapable(start.serverProperties, "authentication_failure_close"));
    });
    const tuned = {
      // 0 means no limit.
      frameMax: Math.min(tune.frameMax || FRAME_MAX, broker.frameMax ?? FRAME_MAX, FRAME_MAX),
      channelMax: Math.min(tune.channelMax || CHANNEL_MAX, broker.channelMax ?? CHANNEL_MAX, CHANNEL_MAX),
      heartbeat: broker.heartbeat ?? tune.heartbeat,
    };
    if (tuned.frameMax < FRAME_MIN_SIZE) {
      throw new ProtocolError(
        `The server limits frames to ${tune.frameMax} bytes: AMQP requires at least ${FRAME_MIN_SIZE}`,
      );
    }
    await send("connection.tune-ok", tuned);
    await send("connection.open", { virtualHost: broker.vhost });
    await expect(reader, "connection.open-ok").catch((error) => {
      throw explainOpen(error, broker);
    });
    const peeks = isCapable(start.serverProperties, PEEK);
    const sweeps = isCapable(start.serverProperties, WHERE);
    const dumps = isCapable(start.serverProperties, DUMP);
    return { ...tuned, reader, server: describe(start.serverProperties), peeks, sweeps, dumps };
  } catch (error) {
    reader.fail(error as Error);
    stream.close();
    throw error;
  }
}

async function expect<Name extends MethodName>(reader: FrameReader, name: Name): Promise<MethodArgs<Name>> {
  const method = await reader.read();
  if (method.name === "connection.close") throw errorFromClose("connection", method.args);
  if (method.name !== name) {
    throw new ProtocolError(`The server sent ${method.name}: expected ${name}`);
  }
  return method.args as MethodArgs<Name>;
}

/** With TLS 1.3, a server refuses the certificate of a client after the handshake, often without a reason. */
function explainStart(error: unknown, { endpoint }: BrokerAddress): unknown {
  if (endpoint.scheme !== "tls" || !(error instanceof UnreachableError)) return error;
  return new UnreachableError(
    `${error.message} (the server may require a client certificate, or another one)`,
    { cause: error },
  );
}

/** Older servers close the stream without an error when the credentials are wrong (2.2.4). */
function explainLogin(error: unknown, { user, mechanism }: BrokerAddress, reports: boolean): unknown {
  const refused = error instanceof AmqpError && error.replyCode === 403;
  if (!refused && (reports || !(error instanceof UnreachableError))) return error;
  if (mechanism === "EXTERNAL") {
    return new RefusedError(
      "Login refused with the client certificate: its name is not a user of the broker, or there is no certificate",
      { cause: error },
    );
  }
  return new RefusedError(
    refused
      ? `Login refused for user '${user}': wrong user or password, or this user may log in only from the ` +
        "machine of the broker"
      : `The server closed the connection after the login of '${user}': the user or the password may be wrong`,
    { cause: error },
  );
}

function explainOpen(error: unknown, { user, vhost }: BrokerAddress): unknown {
  if (!(error instanceof AmqpError) || error.replyCode !== 530 && error.replyCode !== 402) return error;
  if (/not found/i.test(error.replyText) || error.replyCode === 402) {
    const hint = vhost.startsWith("/") ? "" : `; '/${vhost}' is written /%2F${vhost}`;
    return new RefusedError(
      `Virtual host '${vhost}' does not exist (it is the path of the URL${hint})`,
      { cause: error },
    );
  }
  if (/limit \(\d+\) is reached/.test(error.replyText)) {
    return new RefusedError(`The server allows no more connections: ${error.replyText}`, { cause: error });
  }
  if (/refused/i.test(error.replyText)) {
    return new RefusedError(`User '${user}' has no access to virtual host '${vhost}'`, { cause: error });
  }
  return error;
}

function describe(properties: FieldTable): string {
  const { product, version } = properties;
  return [product, version].filter((part) => typeof part === "string").join(" ") || "an AMQP server";
}
