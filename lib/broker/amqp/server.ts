import type { ByteStream } from "../../transport/stream.ts";
import type { Counters } from "../core/counters.ts";
import type { Cycle } from "../core/cycle.ts";
import type { MessageIntake } from "../core/intake.ts";
import { nodeName } from "../core/queue/queue_row.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Authenticator } from "../core/users/authenticator.ts";
import type { UserStore } from "../core/users/user_store.ts";
import type { ProtocolHost, ProtocolServer } from "../protocol.ts";
import type { BodyBudget } from "../core/clients/body_budget.ts";
import type { DirectReplies } from "../core/clients/direct_reply.ts";
import { type ConnectionHost, ServerConnection } from "./connection.ts";
import { LoginRefused, serverHandshake } from "./handshake.ts";

/** The AMQP 0-9-1 server: what all AMQP connections of a broker share. */
export class AmqpServer implements ProtocolServer, ConnectionHost {
  readonly cycle: Cycle;
  readonly intake: MessageIntake;
  readonly counters: Counters;
  readonly directReplies: DirectReplies;
  readonly node: string;
  readonly maxMessageSize: number;
  readonly stallTimeout: number;
  readonly bodies: BodyBudget;
  readonly #host: ProtocolHost;

  constructor(host: ProtocolHost) {
    this.#host = host;
    this.cycle = host.core.cycle;
    this.intake = host.core.intake;
    this.counters = host.core.counters;
    this.node = nodeName(host.options.product);
    this.maxMessageSize = host.options.maxMessageSize;
    this.bodies = host.core.bodies;
    this.directReplies = host.core.directReplies;
    this.stallTimeout = host.options.stallTimeout;
  }

  get blocked(): string | undefined {
    return this.#host.core.blocked;
  }

  get users(): UserStore {
    return this.#host.core.users;
  }

  get instance(): string {
    return this.#host.core.instance;
  }

  get diskFull(): boolean {
    return this.#host.core.diskFull;
  }

  get position(): number {
    return this.#host.core.journal.position;
  }

  get safePosition(): number {
    return this.#host.core.safePosition;
  }

  async serve(
    stream: ByteStream,
    authenticator: Authenticator,
    isLocal: boolean,
  ): Promise<ServerConnection> {
    const { core, options } = this.#host;
    let release: (() => void) | undefined;
    const reserve = (user: string, vhost: VirtualHost) => {
      release = this.#host.reserveConnection(user, vhost);
    };
    try {
      const login = await serverHandshake(stream, options, authenticator, core.vhosts, isLocal, reserve);
      this.counters.countLogin("amqp091", true);
      const connection = new ServerConnection(this, stream, login);
      connection.start(login, this.#host.onConnected(connection, authenticator));
      return connection;
    } catch (error) {
      if (error instanceof LoginRefused) this.counters.countLogin("amqp091", false);
      throw error;
    } finally {
      release?.();
    }
  }

  checkChannels(user: string): void {
    this.#host.checkChannels(user);
  }

  deleteQueue(queue: Queue): void {
    this.#host.core.deleteQueue(queue);
  }

  onFailure(error: Error): void {
    this.#host.core.onFailure(error);
  }

  onDisconnected(connection: ServerConnection, cause: Error | undefined): void {
    this.#host.onDisconnected(connection, cause);
  }

  onChannelError(remote: string, channel: number, error: Error): void {
    this.#host.onChannelError(remote, channel, error);
  }
}
