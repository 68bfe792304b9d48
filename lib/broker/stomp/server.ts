import type { ByteStream } from "../../transport/stream.ts";
import type { BodyBudget } from "../core/clients/body_budget.ts";
import type { DirectReplies } from "../core/clients/direct_reply.ts";
import type { Counters } from "../core/counters.ts";
import type { Cycle } from "../core/cycle.ts";
import type { MessageIntake } from "../core/intake.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { Authenticator } from "../core/users/authenticator.ts";
import type { ProtocolHost, ProtocolServer } from "../protocol.ts";
import { type ConnectionHost, StompConnection } from "./connection.ts";
import { logIn, LoginRefused } from "./login.ts";

/** The STOMP server: what all STOMP connections of a broker share. */
export class StompServer implements ProtocolServer, ConnectionHost {
  readonly cycle: Cycle;
  readonly intake: MessageIntake;
  readonly counters: Counters;
  readonly directReplies: DirectReplies;
  readonly bodies: BodyBudget;
  readonly stallTimeout: number;
  /** Name and version of the product. */
  readonly product: string;
  readonly #host: ProtocolHost;

  constructor(host: ProtocolHost) {
    const { core, options } = host;
    this.#host = host;
    this.cycle = core.cycle;
    this.intake = core.intake;
    this.counters = core.counters;
    this.directReplies = core.directReplies;
    this.bodies = core.bodies;
    this.stallTimeout = options.stallTimeout;
    this.product = `${options.product}/${options.productVersion}`;
  }

  get blocked(): string | undefined {
    return this.#host.core.blocked;
  }

  get position(): number {
    return this.#host.core.journal.position;
  }

  get safePosition(): number {
    return this.#host.core.safePosition;
  }

  async serve(stream: ByteStream, authenticator: Authenticator, isLocal: boolean): Promise<StompConnection> {
    const { core, options } = this.#host;
    let release: (() => void) | undefined;
    const reserve = (user: string, vhost: VirtualHost) => {
      release = this.#host.reserveConnection(user, vhost);
    };
    try {
      const login = await logIn(stream, options, authenticator, core.vhosts, isLocal, reserve);
      this.counters.countLogin("stomp", true);
      const connection = new StompConnection(this, stream, login);
      connection.start(login, this.#host.onConnected(connection, authenticator));
      return connection;
    } catch (error) {
      if (error instanceof LoginRefused) this.counters.countLogin("stomp", false);
      throw error;
    } finally {
      release?.();
    }
  }

  deleteQueue(queue: Queue): void {
    this.#host.core.deleteQueue(queue);
  }

  onFailure(error: Error): void {
    this.#host.core.onFailure(error);
  }

  onDisconnected(connection: StompConnection, cause: Error | undefined): void {
    this.#host.onDisconnected(connection, cause);
  }
}
