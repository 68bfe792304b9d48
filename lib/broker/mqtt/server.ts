import { MqttError } from "../../mqtt/mqtt_error.ts";
import { REASON } from "../../mqtt/reason_code.ts";
import type { ByteStream } from "../../transport/stream.ts";
import type { Cycle } from "../core/cycle.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Authenticator } from "../core/users/authenticator.ts";
import type { ProtocolHost, ProtocolServer } from "../protocol.ts";
import { MqttConnection, type MqttConnectionHost } from "./connection.ts";
import { RECEIVE_MAXIMUM, TOPIC_ALIASES } from "./inbound.ts";
import { LoginRefused, type MqttLogin, readLogin } from "./login.ts";
import { EXCHANGE, exchangeSeparators, fitsName, subscriptionQueue } from "./names.ts";
import { replyFor } from "./replies.ts";
import { MqttSpace, type SpaceEvents } from "./sessions/space.ts";

/** Room for the header of a PUBLISH besides the largest message, in bytes. */
const HEAD_ROOM = 128 * 1024;
/** Interval of the reports about dropped messages, and of looking for incomplete sessions, in milliseconds. */
const REPORT_MS = 10_000;

/** The MQTT server: sessions of all virtual hosts, and what the connections share. */
export class MqttServer implements ProtocolServer, MqttConnectionHost, SpaceEvents {
  readonly cycle: Cycle;
  readonly maxPacket: number;
  readonly stallTimeout: number;
  readonly heartbeat: number;

  readonly #host: ProtocolHost;
  readonly #spaces = new Map<string, MqttSpace>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(host: ProtocolHost) {
    this.#host = host;
    this.cycle = host.core.cycle;
    this.maxPacket = Math.min(268_435_460, host.options.maxMessageSize + HEAD_ROOM);
    this.stallTimeout = host.options.stallTimeout;
    this.heartbeat = host.options.heartbeat;
    this.#timer = setInterval(() => this.#report(), REPORT_MS);
    // Sessions and wills of an earlier run.
    this.#inCycle(() => {
      for (const vhost of host.core.vhosts.values()) this.#spaceOf(vhost);
    });
  }

  get safePosition(): number {
    return this.#host.core.safePosition;
  }

  async serve(stream: ByteStream, authenticator: Authenticator, isLocal: boolean): Promise<MqttConnection> {
    const { core, options } = this.#host;
    const { counters } = core;
    let release: (() => void) | undefined;
    const admit = (login: MqttLogin) => {
      checkLogin(login);
      try {
        release = this.#host.reserveConnection(login.user, login.vhost);
      } catch (error) {
        throw replyFor(error);
      }
    };
    const limits = { handshakeTimeout: options.handshakeTimeout, maxPacket: this.maxPacket };
    try {
      const login = await readLogin(stream, limits, authenticator, core.vhosts, isLocal, admit);
      counters.countLogin("mqtt", true);
      const connection = await this.#accept(stream, login, authenticator);
      connection.start();
      return connection;
    } catch (error) {
      if (error instanceof LoginRefused) counters.countLogin("mqtt", false);
      throw error;
    } finally {
      release?.();
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tend();
    for (const space of this.#spaces.values()) space.stop();
  }

  onFailure(error: Error): void {
    this.#host.core.onFailure(error);
  }

  onDisconnected(connection: MqttConnection, cause: Error | undefined): void {
    this.#host.onDisconnected(connection, cause);
  }

  onDropped(vhost: string, clientId: string, count: number): void {
    this.#host.options.onEvent({ type: "dropped", vhost, clientId, count });
  }

  onRetainedFull(vhost: string, topic: string): void {
    this.#host.options.onEvent({ type: "retained-full", vhost, topic });
  }

  async #accept(stream: ByteStream, login: MqttLogin, authenticator: Authenticator): Promise<MqttConnection> {
    try {
      return this.#inCycle(() => this.#connect(stream, login, authenticator));
    } catch (error) {
      // Its queues cannot be declared: a limit of the virtual host is reached, or the names are taken.
      const reply = replyFor(error);
      await login.refuse(reply);
      throw reply;
    }
  }

  /** Gives a client its session, and answers its CONNECT (3.1.4, 3.2). */
  #connect(stream: ByteStream, login: MqttLogin, authenticator: Authenticator): MqttConnection {
    const { connect, clientId, vhost } = login;
    const { version, properties } = connect;
    const space = this.#spaceOf(vhost);
    const given = version === 5
      ? properties.sessionExpiryInterval ?? 0
      : connect.cleanStart
      ? 0
      : 0xffff_ffff;
    const expiry = space.limitExpiry(given);
    let session = space.sessions.get(clientId);
    const { connection: other } = session ?? {};
    // The will of the other connection is published, unless the session continues and the will has a delay.
    other?.takeOver();
    if (session?.ended) session = undefined;
    // As in RabbitMQ, a session ends with its queue: the client learns that it must subscribe again.
    if (connect.cleanStart || session?.isIncomplete) { // [MQTT-3.1.2-4]
      session?.end();
      session = undefined;
    } else space.wills.cancel(clientId);
    const sessionPresent = session !== undefined;
    session ??= space.create(clientId, expiry > 0);
    session.expiry = expiry;
    session.save();
    const connection = new MqttConnection(this, stream, login, space, session);
    const refusal = this.#host.onConnected(connection, authenticator);
    connection.encoder.connack({
      sessionPresent,
      code: REASON.success,
      properties: version < 5 ? {} : {
        receiveMaximum: RECEIVE_MAXIMUM,
        topicAliasMaximum: TOPIC_ALIASES,
        maximumPacketSize: this.maxPacket,
        ...(connection.heartbeat < connect.keepAlive ? { serverKeepAlive: connection.heartbeat } : {}),
        ...(connect.clientId === "" ? { assignedClientIdentifier: clientId } : {}),
        ...(expiry !== (given === 0xffff_ffff ? Infinity : given)
          ? { sessionExpiryInterval: expiry === Infinity ? 0xffff_ffff : expiry }
          : {}),
      },
    });
    this.cycle.scheduleFlush(connection);
    session.attach(connection);
    if (refusal !== undefined) connection.fail(refusal);
    return connection;
  }

  #spaceOf(vhost: VirtualHost): MqttSpace {
    let space = this.#spaces.get(vhost.name);
    if (space === undefined || space.vhost !== vhost) {
      space?.stop();
      const { core, options } = this.#host;
      space = new MqttSpace(core, vhost, options, options.data !== undefined, this);
      this.#spaces.set(vhost.name, space);
    }
    return space;
  }

  #report(): void {
    for (const space of this.#spaces.values()) space.reportDropped();
    this.#tend();
  }

  /**
   * Ends what has lost its queues or its virtual host. Incomplete sessions must not be there after a restart, where nothing
   * shows that they had a queue.
   */
  #tend(): void {
    this.#inCycle(() => {
      for (const [name, space] of this.#spaces) {
        if (this.#host.core.vhosts.get(name) === space.vhost) space.endIncomplete();
        else {
          space.stop();
          this.#spaces.delete(name);
        }
      }
    });
  }

  #inCycle<T>(work: () => T): T {
    this.cycle.begin();
    try {
      return work();
    } finally {
      this.cycle.end();
    }
  }
}

/** Checks the client identifier and the will of a client. @throws {MqttError} */
function checkLogin({ connect, vhost, access }: MqttLogin): void {
  const { clientId, cleanStart, version, will } = connect;
  if (clientId === "" && version < 5 && !cleanStart) { // [MQTT-3.1.3-8] of 3.1.1
    throw new MqttError(REASON.clientIdNotValid, "A client without an identifier needs a clean session");
  }
  if (clientId === "" && version === 3) {
    throw new MqttError(REASON.clientIdNotValid, "MQTT 3.1 needs a client identifier");
  }
  if (!fitsName(subscriptionQueue(clientId, 0))) {
    throw new MqttError(REASON.clientIdNotValid, "The client identifier is longer than 233 bytes");
  }
  if (will === undefined) return;
  if (!fitsName(will.topic)) {
    throw new MqttError(REASON.topicNameInvalid, "The topic of the will is longer than 255 bytes");
  }
  try {
    access.check("write", "exchange", EXCHANGE);
    access.checkTopic("write", vhost.exchanges, EXCHANGE, exchangeSeparators(will.topic));
  } catch (error) {
    throw replyFor(error);
  }
}
