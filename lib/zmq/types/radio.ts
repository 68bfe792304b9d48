import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { datagramMistake } from "../datagrams.ts";
import { FanOut, type FanOutOptions } from "../outgoing/fan_out.ts";
import { MAX_GROUP } from "../group.ts";
import type { SocketOptions } from "../options.ts";
import { PUBLISHER_HWM_BYTES } from "./pub.ts";
import { Sender } from "../sender.ts";

/** What a RADIO socket can be told besides. */
export interface RadioOptions extends SocketOptions, FanOutOptions {}

/**
 * RADIO (RFC 48): sends each message to every DISH that joined its group. A message has two frames, the group and the
 * body.
 *
 * @example One group of two
 * ```ts
 * import { Dish, Radio } from "../../../mod.ts";
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
  /** How many of the peers are reached by datagrams. */
  #datagrams = 0;

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

  /**
   * Queues the messages in front of one that it cannot take; that one throws when it is the first.
   *
   * @throws {RangeError} a message has not two frames, or its group is over 255 bytes
   * @throws {LimitError} it is too large for a datagram, and one of the endpoints is udp
   */
  sendBatch(batch: Batch, from = 0): number {
    let to = from;
    while (to < batch.frames) {
      const mistake = mistakeOf(batch, to, this.#datagrams > 0);
      if (mistake !== undefined && to === from) throw mistake;
      if (mistake !== undefined) break;
      to += 2;
    }
    return this.#fanOut.send(batch, from, to);
  }

  override writable(ms = Infinity): Promise<void> {
    return super.writable(Math.min(ms, this.#fanOut.patience));
  }

  override onGroup(from: ZmtpConnection, group: Uint8Array, join: boolean): void {
    this.#fanOut.subscribe(from, group, join);
    this.options.onEvent({
      type: "subscription",
      endpoint: from.remote,
      topic: group.slice(),
      subscribe: join,
    });
    this.changed.fire();
  }

  protected override onAttach(connection: ZmtpConnection): void {
    const everything = connection.peer.version === "none";
    if (everything) this.#datagrams++;
    this.#fanOut.add(connection, everything);
  }

  protected override onDetach(connection: ZmtpConnection): void {
    if (connection.peer.version === "none") this.#datagrams--;
    this.#fanOut.remove(connection);
  }
}

function mistakeOf(batch: Batch, at: number, isDatagram: boolean): Error | undefined {
  const frames = batch.messageEnd(at) - at;
  if (frames !== 2) {
    return new RangeError(`A RADIO message has two frames, a group and a body: received ${frames}`);
  }
  const length = batch.ends[at]! - batch.starts[at]!;
  if (length > MAX_GROUP) {
    return new RangeError(`Cannot use a group of ${length} bytes: it has at most ${MAX_GROUP}`);
  }
  return isDatagram ? datagramMistake(length, batch.ends[at + 1]! - batch.starts[at + 1]!) : undefined;
}
