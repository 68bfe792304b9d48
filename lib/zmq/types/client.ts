import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Dealing } from "../dealing.ts";
import type { SocketOptions } from "../options.ts";
import { keepSingles, severalFrames } from "../single_frames.ts";

/** CLIENT (RFC 41): deals messages of one frame out to SERVER peers in turn, and receives what they send. */
export class Client extends Dealing {
  constructor(options: SocketOptions = {}) {
    super("CLIENT", options);
  }

  /** @throws {RangeError} a message has several frames; none of the batch was sent */
  override sendBatch(batch: Batch, from = 0): number {
    for (let at = from; at < batch.frames; at++) {
      const problem = severalFrames(batch, at, this.type);
      if (problem !== undefined) throw problem;
    }
    return super.sendBatch(batch, from);
  }

  override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (keepSingles(batch)) super.onBatch(from, batch);
  }
}
