import type { AmqpError } from "../../amqp/amqp_error.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { copyBytes, FrameBuffer } from "../../bytes/frame_buffer.ts";
import { UnreachableError } from "../../errors.ts";
import { AckFields } from "../../mqtt/fields.ts";
import { type MqttError, protocolError } from "../../mqtt/mqtt_error.ts";
import type { PacketDecoder, PacketSink } from "../../mqtt/packet_decoder.ts";
import { PacketEncoder } from "../../mqtt/packet_encoder.ts";
import {
  type AckType,
  AUTH,
  CONNECT,
  DISCONNECT,
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
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../mqtt/packet_type.ts";
import { checkEmpty, decodeReason, decodeSubscribe, decodeUnsubscribe } from "../../mqtt/packets.ts";
import type { MqttProperties } from "../../mqtt/properties.ts";
import { REASON } from "../../mqtt/reason_code.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { ClientOutput } from "../core/clients/client_output.ts";
import { type ConnectionEndHost, endConnection } from "../core/clients/connection_end.ts";
import { StallWatch } from "../core/clients/stall_watch.ts";
import type { Confirmable, Flushable } from "../core/cycle.ts";
import { MessageStats } from "../core/message_stats.ts";
import type { QueueConsumer } from "../core/queue/consumer.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Access } from "../core/users/user_store.ts";
import type { ClientChannel, ClientConnection } from "../protocol.ts";
import { PendingAcks } from "./acks.ts";
import { Aliases } from "./messages/aliases.ts";
import type { SessionConnection } from "./sessions/contract.ts";
import { Inbound } from "./inbound.ts";
import type { MqttLogin } from "./login.ts";
import type { OutgoingMessage } from "./messages/outgoing.ts";
import { replyFor } from "./replies.ts";
import { subscribe, unsubscribe } from "./requests.ts";
import type { Session } from "./sessions/session.ts";
import type { MqttSpace } from "./sessions/space.ts";
import type { PendingWill } from "./sessions/wills.ts";

/** Above this size of waiting output messages of QoS 0 are dropped, in bytes. */
const DROP_ABOVE = 2 * 2 ** 20;
/** Limit of unacknowledged messages to a client that sets a higher one, or none. */
const MAX_INFLIGHT = 1024;
/** Time to write our last packet, and for the client to close the connection, in milliseconds. */
const FAREWELL_MS = 5000;
/** Time for the client to close the connection before our end of it, in milliseconds. */
const END_MS = 700;

/** The acknowledgement that is being handled: one for all connections. */
const ack = new AckFields();

/** What a connection needs of the server. */
export interface MqttConnectionHost extends ConnectionEndHost {
  readonly safePosition: number;
  readonly maxPacket: number;
  /** Time after which a client is disconnected that reads nothing while output waits, in milliseconds. */
  readonly stallTimeout: number;
  /** The longest keep alive of clients that can be told so, in seconds; 0 for any. */
  readonly heartbeat: number;
  onDisconnected(connection: MqttConnection, cause: Error | undefined): void;
}

/** A client's running connection: it is logged in and has a session. */
export class MqttConnection
  implements
    StreamSink,
    PacketSink,
    ClientConnection,
    ClientChannel,
    SessionConnection,
    Flushable,
    Confirmable {
  readonly version: ProtocolVersion;
  readonly user: string;
  readonly vhost: VirtualHost;
  readonly access: Access;
  readonly vhostSpace: MqttSpace;
  readonly session: Session;
  readonly local: string;
  readonly remote: string;
  readonly connectedAt: number = Date.now();
  readonly clientProperties: FieldTable;
  readonly receiveMaximum: number;
  readonly encoder: PacketEncoder;
  received = 0;
  flushScheduled = false;
  awaitingConfirms = false;
  readonly channels: readonly ClientChannel[] = [this];

  readonly #host: MqttConnectionHost;
  readonly #stream: ByteStream;
  readonly #decoder: PacketDecoder;
  readonly #out = new FrameBuffer();
  readonly #inbound: Inbound;
  readonly #acks = new PendingAcks();
  readonly #aliases: Aliases;
  readonly #keepAlive: number;
  readonly #maxPacket: number;
  readonly #problems: boolean;
  readonly #watch: StallWatch;
  #will: PendingWill | undefined;
  readonly #output: ClientOutput;
  /** Whether it published while the broker took no messages. */
  #held = false;
  #overBacklog = false;
  #closing: { readonly cause: Error | undefined } | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  #heard = true;
  #heardAt = 0;

  constructor(
    host: MqttConnectionHost,
    stream: ByteStream,
    login: MqttLogin,
    space: MqttSpace,
    session: Session,
  ) {
    const { connect } = login;
    this.#host = host;
    this.#stream = stream;
    this.#output = new ClientOutput(stream, this.#out, host.cycle);
    this.#decoder = login.decoder;
    this.version = connect.version;
    this.user = login.user;
    this.vhost = login.vhost;
    this.access = login.access;
    this.vhostSpace = space;
    this.session = session;
    this.local = stream.local;
    this.remote = stream.remote;
    this.clientProperties = { client_id: session.clientId, product: "MQTT client" };
    // [MQTT-3.1.2-21]: only a client of 5.0 can be told to be heard more often.
    const { heartbeat } = host;
    this.#keepAlive = this.version === 5 && heartbeat > 0
      ? Math.min(connect.keepAlive, heartbeat)
      : connect.keepAlive;
    const { receiveMaximum, maximumPacketSize, topicAliasMaximum, requestProblemInformation } =
      connect.properties;
    this.receiveMaximum = Math.min(receiveMaximum ?? MAX_INFLIGHT, MAX_INFLIGHT);
    this.#maxPacket = maximumPacketSize ?? Infinity;
    this.#problems = requestProblemInformation !== 0;
    this.#aliases = new Aliases(topicAliasMaximum ?? 0);
    this.#watch = new StallWatch(host.stallTimeout);
    this.encoder = new PacketEncoder(this.#out);
    this.encoder.version = this.version;
    this.#inbound = new Inbound(this);
    if (connect.will !== undefined) this.#will = space.wills.add(session.clientId, login.user, connect.will);
    stream.closed.then((cause) => this.#onClosed(cause));
  }

  /** Starts to handle input, first the packets that arrived during the login. */
  start(): void {
    this.#decoder.sink = this;
    this.#decoder.version = this.version;
    this.#stream.attach(this);
    this.#resume();
  }

  get protocol(): string {
    return this.version === 5 ? "MQTT 5.0" : this.version === 4 ? "MQTT 3.1.1" : "MQTT 3.1";
  }

  get frameMax(): number {
    return this.#host.maxPacket;
  }

  readonly channelMax = 1;

  get heartbeat(): number {
    return this.#keepAlive;
  }

  get state(): ClientConnection["state"] {
    if (this.#closing !== undefined || this.#over) return "closing";
    return this.#held ? "blocked" : "running";
  }

  readonly number = 1;
  readonly stats: MessageStats = new MessageStats();
  readonly confirms = true;
  readonly transactional = false;
  readonly globalPrefetch = 0;

  get prefetch(): number {
    return this.receiveMaximum;
  }

  get unconfirmed(): number {
    return this.#acks.length;
  }

  get unacked(): number {
    return this.session.unacked;
  }

  get consumers(): ReadonlyMap<string, QueueConsumer> {
    const { consumer } = this.session;
    return new Map(consumer === undefined ? [] : [[consumer.options.tag, consumer]]);
  }

  get pendingPubacks(): number {
    return this.#acks.pubacks;
  }

  get sent(): number {
    return this.#output.sent;
  }

  get writable(): boolean {
    return this.#output.hasRoom && this.#closing === undefined && !this.#over;
  }

  get isOverfull(): boolean {
    return this.#out.length > DROP_ABOVE || this.#closing !== undefined || this.#over;
  }

  get isPlain(): boolean {
    return !this.#aliases.enabled && this.#maxPacket === Infinity;
  }

  get overBacklog(): boolean {
    return (this.#held || this.#output.overBacklog) && this.#closing === undefined;
  }

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.#heard = true;
    if (!this.#over && this.#closing === undefined) this.#handle(() => this.#decoder.push(chunk));
  }

  onEnd(): void {
    this.#stream.close(
      this.#closing === undefined
        ? new UnreachableError("The client went away without a DISCONNECT")
        : this.#closing.cause,
    );
  }

  onDrain(): void {
    this.#output.onDrain();
    this.flush();
    // The client closes the connection. Input is read and ignored until then: our close would become a reset, which
    // discards the reason. Even our end may come too early: clients exist that wait for ever if it comes while they read.
    if (!this.#output.writing && this.#closing !== undefined) {
      this.#endTimer ??= setTimeout(() => this.#stream.end(), END_MS);
      return;
    }
    if (this.#overBacklog && this.#output.hasRoom) {
      this.#overBacklog = false;
      this.#resume();
    }
    if (!this.writable) return;
    this.#host.cycle.begin();
    try {
      this.session.wake();
    } finally {
      this.#host.cycle.end();
    }
  }

  onPacket(type: number, flags: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#closing !== undefined) return;
    const { version } = this;
    switch (type) {
      case PUBLISH:
        return this.#inbound.publish(flags, bytes, start, end);
      case PUBACK:
      case PUBREC:
      case PUBREL:
      case PUBCOMP:
        return this.#onAck(type, bytes, start, end);
      case SUBSCRIBE: {
        const packet = decodeSubscribe(bytes, start, end, version);
        const { codes, reason, sendRetained } = subscribe(this, packet);
        const { packetId } = packet;
        // [MQTT-3.1.2-29] [MQTT-3.9.2-1]
        this.#encodeReason(
          this.#problems ? reason : undefined,
          (properties) => this.encoder.codeList(SUBACK, { packetId, properties, codes }),
        );
        sendRetained();
        return this.#touch();
      }
      case UNSUBSCRIBE: {
        const packet = decodeUnsubscribe(bytes, start, end, version);
        const codes = unsubscribe(this, packet);
        this.encoder.codeList(UNSUBACK, { packetId: packet.packetId, properties: {}, codes });
        return this.#touch();
      }
      case PINGREQ:
        checkEmpty(type, start, end);
        this.encoder.ping(PINGRESP);
        return this.#touch();
      case DISCONNECT:
        return this.#onDisconnect(bytes, start, end);
      case AUTH:
        throw protocolError("The client sent an AUTH, but the login had no authentication method");
      case CONNECT: // [MQTT-3.1.0-2]
        throw protocolError("The client sent a second CONNECT");
      default:
        throw protocolError(`A client does not send ${packetName(type)}`);
    }
  }

  deliver(message: OutgoingMessage): boolean {
    const aliases = this.#aliases;
    message.alias = aliases.of(message.key);
    message.aliasKnown = message.alias > 0 && aliases.isKnown;
    message.maxPacket = this.#maxPacket;
    if (!message.send(this.encoder)) {
      if (message.alias > 0 && !message.aliasKnown) aliases.forget(message.key);
      return false;
    }
    this.#touch();
    return true;
  }

  deliverEncoded({ bytes, length }: FrameBuffer): void {
    const out = this.#out;
    const at = out.reserve(length);
    out.length = copyBytes(bytes, 0, length, out.bytes, at);
    this.#touch();
  }

  acknowledge(type: AckType, packetId: number, reasonCode: number, position: number): void {
    this.#acks.push(type, packetId, reasonCode, position);
    this.#host.cycle.awaitConfirms(this);
  }

  confirm(safePosition: number): boolean {
    if (this.#over) this.#acks.clear();
    this.#acks.send(safePosition, this.encoder);
    if (this.#out.length > 0) this.#touch();
    return this.#acks.length > 0;
  }

  flush(): void {
    this.flushScheduled = false;
    if (!this.#over) this.#output.flush();
  }

  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#stream.pause();
  }

  block(): void {
    // A client is held when it publishes.
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    queueMicrotask(() => this.#resume());
  }

  takeOver(): void {
    this.#close(
      new UnreachableError("Another connection has the same client identifier"),
      REASON.sessionTakenOver,
    );
  }

  fail(error: AmqpError): void {
    this.#host.cycle.begin();
    try {
      this.#refuse(replyFor(error));
    } finally {
      this.#host.cycle.end();
    }
  }

  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  beat(now: number, real: number): void {
    const unread = this.#watch.checkReading(real, this.#output.writing, this.#output.taken);
    if (unread !== undefined) return this.#stream.close(unread);
    if (this.#heard || this.#held || this.#overBacklog) {
      this.#heard = false;
      this.#heardAt = now;
    } else if (
      this.#keepAlive > 0 && now - this.#heardAt > this.#keepAlive * 1500 && this.#closing === undefined
    ) {
      // [MQTT-3.1.2-22]
      const cause = new UnreachableError(`The client was silent for ${this.#keepAlive * 1.5} s (keep alive)`);
      this.#close(cause, REASON.keepAliveTimeout);
    }
  }

  #onAck(type: AckType, bytes: Uint8Array, start: number, end: number): void {
    ack.read(type, bytes, start, end, this.version);
    const { packetId, reasonCode } = ack;
    if (type === PUBACK) this.session.onPuback(packetId);
    else if (type === PUBREC) this.session.onPubrec(packetId, reasonCode);
    else if (type === PUBREL) this.#inbound.release(packetId);
    else this.session.onPubcomp(packetId);
  }

  #onDisconnect(bytes: Uint8Array, start: number, end: number): void {
    const { reasonCode, properties } = decodeReason(DISCONNECT, bytes, start, end, this.version);
    const { sessionExpiryInterval: expiry } = properties;
    if (expiry !== undefined) {
      if (this.session.expiry === 0 && expiry > 0) { // [MQTT-3.1.2-23], 3.14.2.2.2
        throw protocolError("A DISCONNECT sets a session expiry, but the session ends with the connection");
      }
      this.session.expiry = this.vhostSpace.limitExpiry(expiry);
      this.session.save();
    }
    if (reasonCode === REASON.success && this.#will !== undefined) { // [MQTT-3.14.4-3]
      this.vhostSpace.wills.discard(this.#will);
      this.#will = undefined;
    }
    this.#end(undefined);
    this.#stream.close();
  }

  #touch(): void {
    this.#host.cycle.scheduleFlush(this);
  }

  /** Handles input within one cycle; an error ends the connection. */
  #handle(work: () => void): void {
    this.#host.cycle.begin();
    try {
      work();
    } catch (error) {
      this.#refuse(replyFor(error));
    } finally {
      this.#host.cycle.end();
    }
    if (this.#held || this.#closing !== undefined) return;
    if (this.overBacklog || this.#decoder.holding && this.#output.writing) {
      this.#overBacklog = true;
      this.#stream.pause();
    }
  }

  /** Encodes a packet with a reason, or without it if that would make it larger than the client allows. */
  #encodeReason(reason: string | undefined, encode: (properties: MqttProperties) => void): void {
    const { length } = this.#out;
    if (reason !== undefined) {
      encode({ reasonString: reason });
      if (this.#out.length - length <= this.#maxPacket) return;
      this.#out.length = length;
    }
    encode({});
  }

  #refuse(error: MqttError): void {
    this.#close(error, error.reasonCode, error.message);
  }

  /** Sends a DISCONNECT with the reason, which MQTT 5.0 has, and ends the stream after it is written. */
  #close(cause: Error, reasonCode: number, reason?: string): void {
    if (this.#over || this.#closing !== undefined) return;
    this.#end(cause);
    if (this.version === 5) {
      this.#encodeReason( // [MQTT-3.14.2-3]
        reason?.slice(0, 1000),
        (properties) => this.encoder.reason(DISCONNECT, { reasonCode, properties }),
      );
    }
    this.#host.cycle.scheduleFlush(this);
    this.#closeTimer = setTimeout(() => this.#stream.close(cause), FAREWELL_MS);
    if (this.#output.idle) this.#stream.close(cause);
    else if (!this.#output.writing) queueMicrotask(() => this.flush());
    this.#stream.resume();
  }

  /** Ends the service of the session, and publishes the will. */
  #end(cause: Error | undefined): void {
    this.#closing = { cause };
    this.#acks.clear();
    if (this.session.connection !== this) return;
    const { expiry } = this.session;
    const will = this.#will;
    this.#will = undefined;
    if (will !== undefined) this.vhostSpace.wills.trigger(will, expiry);
    this.session.detach();
  }

  #resume(): void {
    if (this.#held || this.#overBacklog || this.#over) return;
    this.#handle(() => this.#decoder.resume());
    if (!this.#held && !this.#overBacklog) this.#stream.resume();
  }

  #onClosed(cause: Error | undefined): void {
    this.#over = true;
    clearTimeout(this.#closeTimer);
    clearTimeout(this.#endTimer);
    endConnection(this.#host, () => {
      if (this.#closing === undefined) this.#end(cause ?? new UnreachableError("The connection was closed"));
    }, () => this.#host.onDisconnected(this, this.#closing?.cause));
  }
}
