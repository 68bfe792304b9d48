import type { Batch } from "../zmtp/batch.ts";
import type { Connection } from "../zmtp/connection.ts";
import type { SocketOptions } from "./options.ts";
import { Routing } from "./routing.ts";
import { keepSingles, severalFrames } from "./single_frames.ts";

/**
 * SERVER (RFC 41): talks to CLIENT peers by the number that it gave each of them. A message has two frames here, and one
 * on the wire: the routing id, 4 bytes, big-endian, never 0; and the body.
 */
export class Server extends Routing {
  #next: number = crypto.getRandomValues(new Uint32Array(1))[0]!;

  constructor(options: SocketOptions = {}) {
    super("SERVER", options, false);
  }

  protected override check(batch: Batch, from: number, to: number): Error | undefined {
    return super.check(batch, from, to) ?? severalFrames(batch, from + 1, this.type);
  }

  override onBatch(from: Connection, batch: Batch): void {
    if (keepSingles(batch)) super.onBatch(from, batch);
  }

  protected override onAttach(connection: Connection): void {
    this.routes.add(this.#newId(), connection);
  }

  #newId(): Uint8Array {
    for (;;) {
      const id = new Uint8Array(4);
      new DataView(id.buffer).setUint32(0, ++this.#next);
      if (id.some((byte) => byte > 0) && this.routes.find(id) === undefined) return id;
    }
  }
}
