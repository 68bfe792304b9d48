import { FrameBuffer } from "../../bytes/frame_buffer.ts";
import { ClosedError, messageOf, ProtocolError, UnreachableError } from "../../errors.ts";
import type { Connection } from "../../link/protocol.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { AckFields } from "../fields.ts";
import { MqttError, protocolError } from "../mqtt_error.ts";
import type { PacketDecoder, PacketSink } from "../packet_decoder.ts";
import { PacketEncoder } from "../packet_encoder.ts";
import {
  type AckType,
  DISCONNECT,
  MAX_REMAINING,
  packetName,
  PINGREQ,
  PINGRESP,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  UNSUBACK,
} from "../packet_type.ts";
import { checkEmpty, type CodeList, type Connack, decodeCodeList, decodeReason } from "../packets.ts";
import { disconnectError } from "./errors.ts";
import { type LoggedIn, nameOf } from "./login.ts";
import type { Session } from "./session.ts";

/** The size of unwritten output at which publishing should pause, in bytes. */
const HIGH_WATER = 256 * 1024;
/** The default time limit for the server to close the connection after our DISCONNECT, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000;

/** Callbacks of a connection. An error of one closes the connection. */
export interface ConnectionEvents {
  /** A PUBLISH arrived. The bytes are valid during the call only. */
  onPublish?(flags: number, bytes: Uint8Array, start: number, end: number): void;
  /** An acknowledgement of a message arrived. The object is valid during the call only. */
  onAck?(type: AckType, fields: AckFields): void;
  /** All packets of one received chunk were reported. */
  onBatchEnd?(): void;
  /** The encoded packets are being written; `onWritten` follows when the system has taken them. */
  onWriting?(): void;
  onWritten?(): void;
}

/** The limits of a server, from its CONNACK. */
export interface ServerLimits {
  /** The number of unacknowledged messages of QoS 1 and 2 that it takes. */
  readonly receiveMaximum: number;
  /** The size limit for packets with their fixed header, in bytes. */
  readonly maximumPacketSize: number;
  readonly maximumQos: number;
  readonly retains: boolean;
  readonly sharesSubscriptions: boolean;
}

/** A connection after the login: it is open or closed, there is no half-open state. */
export class MqttConnection implements Connection, StreamSink, PacketSink {
  readonly version: ProtocolVersion;
  /** MQTT tells no name of the server. */
  readonly server: string;
  /** Resolves to the error that closed the connection, or to undefined after `close`. It never rejects. */
  readonly closed: Promise<Error | undefined>;
  readonly limits: ServerLimits;
  /** Whether the server has kept the session of an earlier connection. */
  readonly sessionPresent: boolean;
  /** The output buffer; call `flush` after writing to it. */
  readonly encoder: PacketEncoder = new PacketEncoder(new FrameBuffer());
  events: ConnectionEvents = {};
  /** Packets wait until `begin`. */
  overBacklog = true;

  readonly #stream: ByteStream;
  readonly #decoder: PacketDecoder;
  readonly #isSessionKept: boolean;
  readonly #hasSession: boolean;
  readonly #ack = new AckFields();
  /** Requests that wait for their SUBACK or UNSUBACK, by packet identifier. */
  readonly #requests = new Map<number, (reply: CodeList | Error) => void>();
  #flight: Uint8Array | undefined;
  #over = false;
  /** The error that closed the connection. */
  #error: Error | undefined;
  #closing = false;
  /** Set when the stream closes after the output is written. */
  #last: { readonly cause: Error | undefined } | undefined;
  #paused = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #wrote = false;
  #heard = false;
  /** The number of half keep alive times without received data. */
  #silence = 0;

  /** @param maxMessage the size limit for received messages, in bytes */
  constructor({ stream, decoder, version, connack }: LoggedIn, session: Session, maxMessage: number) {
    this.version = version;
    this.server = `an ${nameOf(version)} server`;
    this.limits = limitsOf(connack);
    this.sessionPresent = connack.sessionPresent;
    this.encoder.version = version;
    this.#stream = stream;
    this.#isSessionKept = session.isKept;
    this.#hasSession = version === 5 && session.expiryIn(5) > 0;
    this.#decoder = decoder;
    decoder.maxPacket = Math.min(MAX_REMAINING + 5, maxMessage);
    decoder.sink = this;
    this.closed = stream.closed.then((cause) => this.#onClosed(cause));
    stream.attach(this);
    const keepAlive = connack.properties.serverKeepAlive ?? session.keepAlive;
    if (keepAlive > 0) this.#timer = setInterval(() => this.#beat(keepAlive), keepAlive * 500);
  }

  /** Begins to report packets. Call it once, after setting `events`. */
  begin(): void {
    this.overBacklog = false;
    this.#receive(() => this.#decoder.resume());
  }

  /** Whether the output buffer is so large that publishing should wait. */
  get full(): boolean {
    return this.encoder.out.length >= HIGH_WATER;
  }

  /** Whether the connection is closed or closing. */
  get over(): boolean {
    return this.#over || this.#closing || this.#last !== undefined;
  }

  /**
   * Waits for the reply to a SUBSCRIBE or an UNSUBSCRIBE, which was encoded with this packet identifier.
   *
   * @throws {ClosedError} the connection was closed with `close`
   * @throws {UnreachableError | MqttError} the connection is lost, or the server closed it
   */
  async reply(packetId: number): Promise<CodeList> {
    if (this.over) throw this.#error ?? this.#last?.cause ?? new ClosedError("The MQTT connection is closed");
    const reply = new Promise<CodeList | Error>((resolve) => this.#requests.set(packetId, resolve));
    this.flush();
    const result = await reply;
    if (result instanceof Error) throw result;
    return result;
  }

  /** Writes the output buffer; after the current write, if there is one. */
  flush(): void {
    if (this.#flight !== undefined || this.encoder.out.length === 0 || this.#over) return;
    this.#flight = this.encoder.out.take();
    this.#wrote = true;
    this.events.onWriting?.();
    this.#stream.write(this.#flight);
  }

  /** Stops reading, so that the server has to wait. */
  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  /** Continues reading. */
  resume(): void {
    this.#paused = false;
    this.#silence = 0;
    this.#stream.resume();
  }

  /**
   * Sends DISCONNECT (3.14) after the output, and waits until the server closes the connection.
   *
   * @param limit the time limit, in milliseconds
   */
  async close(limit = CLOSE_TIMEOUT_MS): Promise<void> {
    if (!this.over) {
      this.#closing = true;
      this.resume();
      const properties = this.#hasSession && !this.#isSessionKept ? { sessionExpiryInterval: 0 } : {};
      this.encoder.reason(DISCONNECT, { reasonCode: 0, properties });
      this.flush();
      const timer = setTimeout(() => this.#stream.close(), limit);
      await this.closed;
      clearTimeout(timer);
    } else await this.closed;
  }

  /** Closes the stream at once, without a DISCONNECT. */
  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#heard = true;
    if (this.#last === undefined) this.#receive(() => this.#decoder.push(chunk));
  }

  onEnd(): void {
    this.#stream.close(
      this.#closing
        ? undefined
        : new UnreachableError("The server closed the connection without a DISCONNECT"),
    );
  }

  onDrain(): void {
    const done = this.#flight;
    this.#flight = undefined;
    if (done !== undefined) this.encoder.out.recycle(done);
    this.#guard(() => this.events.onWritten?.());
    this.flush();
    if (this.#flight !== undefined) return;
    if (this.#last !== undefined) this.#stream.close(this.#last.cause);
    // Closing both halves at once could reset the connection, which discards our last bytes.
    else if (this.#closing) this.#stream.end();
  }

  onPacket(type: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    switch (type) {
      case PUBLISH:
        if (!this.#closing) this.events.onPublish?.(flags, bytes, start, end);
        return;
      case PUBACK:
      case PUBREC:
      case PUBREL:
      case PUBCOMP:
        this.#ack.read(type, bytes, start, end, this.version);
        return this.events.onAck?.(type, this.#ack);
      case SUBACK:
      case UNSUBACK: {
        const reply = decodeCodeList(type, bytes, start, end, this.version);
        this.#requests.get(reply.packetId)?.(reply);
        this.#requests.delete(reply.packetId);
        return;
      }
      case PINGRESP:
        return checkEmpty(type, start, end);
      case DISCONNECT:
        if (this.version === 5) {
          const { reasonCode, properties } = decodeReason(DISCONNECT, bytes, start, end, 5);
          return this.#stream.close(
            this.#closing ? undefined : disconnectError(reasonCode, properties.reasonString),
          );
        }
    }
    throw protocolError(`The server sent ${packetName(type)}, which only a client may send`);
  }

  /** Calls `work`, which reports received packets. */
  #receive(work: () => void): void {
    this.#guard(() => {
      work();
      this.events.onBatchEnd?.();
      this.flush();
    });
  }

  /** Calls a function that has no caller to catch its error: the error closes the connection. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  /** Reports an error to the server, if the version has a packet for it, and closes the connection. */
  #fail(error: Error): void {
    if (this.#last !== undefined || this.#over) return;
    if (this.version === 5 && error instanceof MqttError && !this.#closing) {
      this.encoder.reason(DISCONNECT, { reasonCode: error.reasonCode, properties: {} });
    }
    this.#last = { cause: error };
    this.flush();
    if (this.#flight === undefined) return this.#stream.close(error);
    const timer = setTimeout(() => this.#stream.close(error), CLOSE_TIMEOUT_MS);
    this.closed.then(() => clearTimeout(timer));
  }

  /** Runs twice per keep alive time: sends a PINGREQ if the connection was idle in either direction (3.12). */
  #beat(keepAlive: number): void {
    if ((!this.#wrote || !this.#heard) && this.#flight === undefined) {
      this.encoder.ping(PINGREQ);
      this.flush();
    }
    this.#wrote = false;
    this.#silence = this.#heard || this.#paused ? 0 : this.#silence + 1;
    this.#heard = false;
    // The first ping is sent after one silent half, and its answer may take as long as the keep alive time.
    if (this.#silence >= 4) {
      this.#stream.close(
        new UnreachableError(`The server sent nothing for ${2 * keepAlive} s, twice the keep alive time`),
      );
    }
  }

  #onClosed(cause: Error | undefined): Error | undefined {
    this.#over = true;
    clearInterval(this.#timer);
    const reason = this.#error = this.#last?.cause ?? cause ??
      (this.#closing ? undefined : new UnreachableError("The connection was closed"));
    for (const settle of this.#requests.values()) {
      settle(reason ?? new ClosedError("The connection was closed"));
    }
    this.#requests.clear();
    return reason;
  }
}

function limitsOf({ properties }: Connack): ServerLimits {
  return {
    receiveMaximum: properties.receiveMaximum ?? 65_535,
    maximumPacketSize: properties.maximumPacketSize ?? MAX_REMAINING + 5,
    maximumQos: properties.maximumQos ?? 2,
    retains: properties.retainAvailable !== 0,
    sharesSubscriptions: properties.sharedSubscriptionAvailable !== 0,
  };
}
