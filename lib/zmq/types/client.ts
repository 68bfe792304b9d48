import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { RoundRobinSocket } from "../round_robin_socket.ts";
import type { SocketOptions } from "../options.ts";
import { keepSingles, severalFrames } from "../single_frames.ts";

/**
 * CLIENT (RFC 41): distributes messages of one frame to SERVER peers in turn, and receives their messages.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Ask a SERVER
 * ```ts
 * import { Client, Server } from "@mqcat/mqcat";
 *
 * await using server = new Server();
 * await using client = new Client();
 * client.connect(await server.bind("tcp://127.0.0.1:0"));
 * await client.send("ping");
 * const [routingId] = await server.receive() ?? [];
 * await server.send([routingId!, "pong"]);
 * const [reply] = await client.receive() ?? [];
 * console.assert(new TextDecoder().decode(reply) === "pong");
 * ```
 */
export class Client extends RoundRobinSocket {
  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("CLIENT", options);
  }

  /**
   * Queues as many messages as there is room for; see {@link Sender.sendBatch}. When a message is invalid, the messages
   * before it are queued and the error is thrown when it is the first of the call.
   *
   * @param batch the messages
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   * @throws {RangeError} the message at `from` has several frames
   */
  override sendBatch(batch: Batch, from = 0): number {
    let to = from;
    while (to < batch.frames) {
      const error = severalFrames(batch, to, this.type);
      if (error !== undefined && to === from) throw error;
      if (error !== undefined) break;
      to++;
    }
    return to === batch.frames ? super.sendBatch(batch, from) : from + super.sendBatch(batch.slice(from, to));
  }

  /** @ignore */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (keepSingles(batch)) super.onBatch(from, batch);
  }
}
