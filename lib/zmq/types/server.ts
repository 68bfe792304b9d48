import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";
import { Routing } from "../routing.ts";
import { keepSingles, severalFrames } from "../single_frames.ts";

/** The highest bits of an id, which make its first byte 80 to BF, and the others, which count. */
const CONTINUATION = 0x80000000;
const COUNT = 0x3fffffff;

/**
 * SERVER (RFC 41): talks to CLIENT peers by the number that it gave each of them. A message has two frames here, and one
 * on the wire: the routing id, 4 bytes, big-endian, never 0; and the body. The first byte is one that no text in UTF-8
 * begins with, so that nobody takes the number for a name.
 */
export class Server extends Routing {
  #next: number = crypto.getRandomValues(new Uint32Array(1))[0]! & COUNT;

  constructor(options: SocketOptions = {}) {
    super("SERVER", options, false);
  }

  protected override check(batch: Batch, from: number, to: number): Error | undefined {
    return super.check(batch, from, to) ?? severalFrames(batch, from + 1, this.type);
  }

  override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (keepSingles(batch)) super.onBatch(from, batch);
  }

  protected override onAttach(connection: ZmtpConnection): void {
    this.routes.add(this.#newId(), connection);
  }

  #newId(): Uint8Array {
    for (;;) {
      const id = new Uint8Array(4);
      this.#next = (this.#next + 1) & COUNT;
      new DataView(id.buffer).setUint32(0, CONTINUATION | this.#next);
      if (this.routes.find(id) === undefined) return id;
    }
  }
}
