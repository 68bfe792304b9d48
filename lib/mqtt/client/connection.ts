import { FrameBuffer } from "../../bytes/frame_buffer.ts";
import { ClientConnection } from "../../link/client_connection.ts";
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

const TERMS = { protocol: "MQTT", goodbye: "a DISCONNECT", interval: "keep alive time" };

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
export class MqttConnection extends ClientConnection implements PacketSink {
  readonly version: ProtocolVersion;
  /** MQTT does not report the product of the server. */
  readonly server: string;
  readonly limits: ServerLimits;
  /** Whether the server has kept the session of an earlier connection. */
  readonly sessionPresent: boolean;
  /** The output buffer; call `flush` after writing to it. */
  readonly encoder: PacketEncoder;
  events: ConnectionEvents = {};
  /** Packets wait until `begin`. */
  overBacklog = true;

  readonly #decoder: PacketDecoder;
  readonly #isSessionKept: boolean;
  readonly #hasSession: boolean;
  readonly #ack = new AckFields();
  /** Requests that wait for their SUBACK or UNSUBACK, by packet identifier. */
  readonly #requests = new Map<number, (reply: CodeList | Error) => void>();

  /** @param maxMessage the size limit for received messages, in bytes */
  constructor({ stream, decoder, version, connack }: LoggedIn, session: Session, maxMessage: number) {
    const out = new FrameBuffer();
    super(stream, out, TERMS);
    this.version = version;
    this.server = `an ${nameOf(version)} server`;
    this.limits = limitsOf(connack);
    this.sessionPresent = connack.sessionPresent;
    this.encoder = new PacketEncoder(out);
    this.encoder.version = version;
    this.#isSessionKept = session.isKept;
    this.#hasSession = version === 5 && session.expiryIn(5) > 0;
    this.#decoder = decoder;
    decoder.maxPacket = Math.min(MAX_REMAINING + 5, maxMessage);
    decoder.sink = this;
    this.attach();
    const keepAlive = connack.properties.serverKeepAlive ?? session.keepAlive;
    this.keepAlive(keepAlive * 1000, keepAlive * 1000);
  }

  /** Begins to report packets. Call it once, after setting `events`. */
  begin(): void {
    this.overBacklog = false;
    this.guard(() => this.#report(() => this.#decoder.resume()));
  }

  /**
   * Waits for the reply to a SUBSCRIBE or an UNSUBSCRIBE, which was encoded with this packet identifier.
   *
   * @throws {ClosedError} the connection was closed with `close`
   * @throws {UnreachableError | MqttError} the connection is lost, or the server closed it
   */
  async reply(packetId: number): Promise<CodeList> {
    this.checkOpen();
    const reply = new Promise<CodeList | Error>((resolve) => this.#requests.set(packetId, resolve));
    this.flush();
    const result = await reply;
    if (result instanceof Error) throw result;
    return result;
  }

  onPacket(type: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    switch (type) {
      case PUBLISH:
        if (!this.closing) this.events.onPublish?.(flags, bytes, start, end);
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
          return this.abort(
            this.closing ? undefined : disconnectError(reasonCode, properties.reasonString),
          );
        }
    }
    throw protocolError(`The server sent ${packetName(type)}, which only a client may send`);
  }

  protected override onInput(chunk: Uint8Array): void {
    this.#report(() => this.#decoder.push(chunk));
  }

  protected override onWriting(): void {
    this.events.onWriting?.();
  }

  protected override onWritten(): void {
    this.events.onWritten?.();
  }

  protected override onWritable(): void {
    // Closing both halves at once could reset the connection, which discards our last bytes.
    if (this.closing && this.progress < 0) this.end();
  }

  /** The server closes the connection after DISCONNECT (3.14). */
  protected override sayGoodbye(): void {
    const properties = this.#hasSession && !this.#isSessionKept ? { sessionExpiryInterval: 0 } : {};
    this.encoder.reason(DISCONNECT, { reasonCode: 0, properties });
  }

  protected override sayError(error: Error): void {
    if (this.version === 5 && error instanceof MqttError) {
      this.encoder.reason(DISCONNECT, { reasonCode: error.reasonCode, properties: {} });
    }
  }

  /** A PINGREQ is due if the connection was idle in either direction (3.12); its answer is a sign of the server's life. */
  protected override onBeat(wrote: boolean, heard: boolean): void {
    if (!wrote || !heard) this.encoder.ping(PINGREQ);
  }

  protected override onOver(reason: Error): void {
    for (const settle of this.#requests.values()) settle(reason);
    this.#requests.clear();
  }

  /** Calls `work`, which reports received packets. */
  #report(work: () => void): void {
    work();
    this.events.onBatchEnd?.();
    this.flush();
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
