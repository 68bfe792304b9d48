import crypto from "node:crypto";
import type { ProtocolVersion } from "../packet_type.ts";

/** Options of a client at the server. */
export interface SessionOptions {
  /** The client identifier. Default: a random one */
  readonly clientId?: string | undefined;
  /**
   * How long the server keeps the session after a connection, in seconds; 0xFFFFFFFF for ever. The session of a random
   * client identifier ends when the client is closed. MQTT 3.1.1 knows only 0 and for ever. Default: 0, a new session for
   * each connection
   */
  readonly sessionExpiry?: number | undefined;
  /** The longest time without a packet from the client, in seconds; 0 disables it. Default: 30 */
  readonly keepAlive?: number | undefined;
  /** The version of MQTT. Default: 5, and 4 (MQTT 3.1.1) if the server refuses that */
  readonly version?: 4 | 5 | undefined;
  /** The number of unacknowledged messages of QoS 1 and 2 that the server may send, 1 to 65535. Default: 1000 */
  readonly receiveMaximum?: number | undefined;
}

const KEEP_ALIVE_S = 30;
const RECEIVE_MAXIMUM = 1000;

/** The session of one client, over all its connections. */
export class Session {
  readonly clientId: string;
  readonly keepAlive: number;
  readonly receiveMaximum: number;
  /** Whether `close` leaves the session at the server. */
  readonly isKept: boolean;
  /** The versions to try, in this order. */
  versions: readonly ProtocolVersion[];
  /** The version that the server has accepted; undefined before the first login. */
  accepted: ProtocolVersion | undefined;
  /** Whether the next connection must begin a new session, in MQTT 5.0. */
  fresh: boolean;

  readonly #expiry: number;

  /** @param ownExpiry the expiry of a session that ends with the client, instead of `sessionExpiry` */
  constructor(options: SessionOptions, ownExpiry?: number) {
    const { version, clientId, sessionExpiry = 0, keepAlive, receiveMaximum } = options;
    // Every server accepts letters and digits, and at most 23 of them [MQTT-3.1.3-5].
    this.clientId = clientId ?? `mqcat${crypto.randomBytes(8).toString("hex")}`;
    this.keepAlive = keepAlive ?? KEEP_ALIVE_S;
    this.receiveMaximum = receiveMaximum ?? RECEIVE_MAXIMUM;
    this.isKept = ownExpiry === undefined && clientId !== undefined && sessionExpiry > 0;
    this.versions = version === undefined ? [5, 4] : [version];
    this.fresh = !this.isKept;
    this.#expiry = ownExpiry ?? sessionExpiry;
  }

  /**
   * How long the server keeps the session after a connection, in seconds. MQTT 3.1.1 cannot end a session without another
   * connection, so a session with a random client identifier would stay for ever.
   */
  expiryIn(version: ProtocolVersion): number {
    return version === 5 || this.isKept ? this.#expiry : 0;
  }

  /** Whether the next connection begins a new session. MQTT 3.1.1 has one flag for that and for the expiry. */
  isCleanIn(version: ProtocolVersion): boolean {
    return version === 5 ? this.fresh || this.#expiry === 0 : this.expiryIn(version) === 0;
  }
}
