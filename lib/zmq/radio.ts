import type { Batch } from "../zmtp/batch.ts";
import type { Connection } from "../zmtp/connection.ts";
import { FanOut, type FanOutOptions } from "./fan_out.ts";
import { MAX_GROUP } from "./group.ts";
import type { SocketOptions } from "./options.ts";
import { PUBLISHER_HWM_BYTES } from "./pub.ts";
import { Sender } from "./sender.ts";

/** What a RADIO socket can be told besides. */
export interface RadioOptions extends SocketOptions, FanOutOptions {}

/**
 * RADIO (RFC 48): sends each message to every DISH that joined its group. A message has two frames, the group and the
 * body.
 *
 * @example One group of two
 * ```ts
 * import { Dish, Radio } from "../../mod.ts";
 * const radio = new Radio();
 * const dish = new Dish();
 * dish.join("news");
 * dish.connect(await radio.bind("tcp://127.0.0.1:0"));
 * while (radio.subscribers === 0) await radio.change();
 * await radio.send(["sports", "2:1"]);
 * await radio.send(["news", "rain"]);
 * const [, body] = await dish.receive() ?? [];
 * console.assert(new TextDecoder().decode(body) === "rain");
 * await Promise.all([radio.close(), dish.close()]);
 * ```
 */
export class Radio extends Sender {
  readonly #fanOut: FanOut;

  constructor(options: RadioOptions = {}) {
    super("RADIO", { ...options, hwmBytes: options.hwmBytes ?? PUBLISHER_HWM_BYTES });
    this.#fanOut = new FanOut(options, this.options.onEvent, true);
  }

  /** How many peers are in a group. */
  get subscribers(): number {
    return this.#fanOut.subscribers;
  }

  /** How many messages were dropped, each counted for every peer that missed it. */
  get dropped(): number {
    return this.#fanOut.dropped;
  }

  /** @throws {RangeError} a message has not two frames, or its group is over 255 bytes; none of the batch was sent */
  sendBatch(batch: Batch, from = 0): number {
    for (let at = from; at < batch.frames; at += 2) checkMessage(batch, at);
    return this.#fanOut.send(batch, from);
  }

  override writable(ms = Infinity): Promise<void> {
    return super.writable(Math.min(ms, this.#fanOut.patience));
  }

  override onGroup(from: Connection, group: Uint8Array, join: boolean): void {
    this.#fanOut.subscribe(from, group, join);
    this.options.onEvent({
      type: "subscription",
      endpoint: from.remote,
      topic: group.slice(),
      subscribe: join,
    });
    this.changed.fire();
  }

  protected override onAttach(connection: Connection): void {
    this.#fanOut.add(connection);
  }

  protected override onDetach(connection: Connection): void {
    this.#fanOut.remove(connection);
  }
}

function checkMessage(batch: Batch, at: number): void {
  const frames = batch.messageEnd(at) - at;
  if (frames !== 2) {
    throw new RangeError(`A RADIO message has two frames, a group and a body: received ${frames}`);
  }
  const length = batch.ends[at]! - batch.starts[at]!;
  if (length > MAX_GROUP) {
    throw new RangeError(`Cannot use a group of ${length} bytes: it has at most ${MAX_GROUP}`);
  }
}
