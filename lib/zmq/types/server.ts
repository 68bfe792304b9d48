import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";
import { RoutedSocket } from "../routed_socket.ts";
import { keepSingles, severalFrames } from "../single_frames.ts";

/** The highest bits of an id, which make its first byte 80 to BF, and the mask of the other bits, which are a counter. */
const CONTINUATION = 0x80000000;
const COUNT = 0x3fffffff;

/**
 * SERVER (RFC 41): addresses CLIENT peers by routing ids that it assigns. A message has two frames, the routing id and the
 * body; only the body is transmitted. The id has 4 bytes, and its first byte cannot begin a text in UTF-8, so an id is never
 * mistaken for a name.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Answer a CLIENT
 * ```ts
 * import { Client, Server } from "@mqcat/mqcat";
 *
 * await using server = new Server();
 * await using client = new Client();
 * client.connect(await server.bind("tcp://127.0.0.1:0"));
 * await client.send("ping");
 * const [routingId] = await server.receive() ?? [];
 * await server.send([routingId!, "pong"]);
 * console.assert((await client.receive()) !== undefined);
 * ```
 */
export class Server extends RoutedSocket {
  #next: number = crypto.getRandomValues(new Uint32Array(1))[0]! & COUNT;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("SERVER", options, false);
  }

  /** @ignore */
  protected override check(batch: Batch, from: number, to: number): Error | undefined {
    return super.check(batch, from, to) ?? severalFrames(batch, from + 1, this.type);
  }

  /** @ignore */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (keepSingles(batch)) super.onBatch(from, batch);
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    this.table.add(this.#newId(), connection);
  }

  #newId(): Uint8Array {
    for (;;) {
      const id = new Uint8Array(4);
      this.#next = (this.#next + 1) & COUNT;
      new DataView(id.buffer).setUint32(0, CONTINUATION | this.#next);
      if (this.table.find(id) === undefined) return id;
    }
  }
}
