import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { datagramMistake } from "../connections/datagrams.ts";
import { FanOut, type FanOutOptions } from "../outgoing/fan_out.ts";
import { MAX_GROUP } from "../group.ts";
import type { SocketOptions } from "../options.ts";
import { PUBLISHER_HWM_BYTES } from "./pub.ts";
import { Sender } from "../sender.ts";

/** Options of {@link Radio}. */
export interface RadioOptions extends SocketOptions, FanOutOptions {}

/**
 * RADIO (RFC 48): sends each message to every DISH peer that joined its group. A message has two frames, the group and
 * the body.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and
 * `sendBatch` from {@link Sender}.
 *
 * @example Send to two groups, one of which has a member
 * ```ts
 * import { Dish, Radio } from "@mqcat/mqcat";
 *
 * await using radio = new Radio();
 * await using dish = new Dish();
 * dish.join("news");
 * dish.connect(await radio.bind("tcp://127.0.0.1:0"));
 * while (radio.subscribers === 0) await radio.change();
 * await radio.send(["sports", "2:1"]);
 * await radio.send(["news", "rain"]);
 * const [, body] = await dish.receive() ?? [];
 * console.assert(new TextDecoder().decode(body) === "rain");
 * ```
 */
export class Radio extends Sender {
  readonly #fanOut: FanOut;
  /** The number of peers over UDP. */
  #datagrams = 0;
  /** The number of messages that were lost with a connection over UDP. */
  #unsendable = 0;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: RadioOptions = {}) {
    super("RADIO", { ...options, hwmBytes: options.hwmBytes ?? PUBLISHER_HWM_BYTES });
    this.#fanOut = new FanOut(options, this.options.onEvent, true);
  }

  /** The number of peers that joined a group. */
  get subscribers(): number {
    return this.#fanOut.subscribers;
  }

  /** The number of dropped messages, counted once for each peer. */
  get dropped(): number {
    return this.#fanOut.dropped + this.#unsendable;
  }

  /**
   * Sends the messages to the members of their groups; see {@link Sender.sendBatch}. When a message is invalid, the
   * messages before it are sent and the error is thrown when it is the first of the call.
   *
   * @param batch the messages; the first frame of each is a group
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   * @throws {RangeError} the message at `from` does not have two frames, or its group is longer than 255 bytes
   * @throws {LimitError} the message at `from` is too large for a datagram, and an endpoint uses udp
   */
  sendBatch(batch: Batch, from = 0): number {
    let to = from;
    while (to < batch.frames) {
      const error = messageError(batch, to, this.#datagrams > 0);
      if (error !== undefined && to === from) throw error;
      if (error !== undefined) break;
      to += 2;
    }
    return this.#fanOut.send(batch, from, to);
  }

  /**
   * Waits until a queue may have room again; see {@link Sender.writable}.
   *
   * @param ms the longest wait, in milliseconds. Default: no limit
   * @returns a promise that resolves when there may be room, or after `ms` milliseconds
   */
  override writable(ms = Infinity): Promise<void> {
    return super.writable(Math.min(ms, this.#fanOut.longestWait));
  }

  /** @ignore */
  protected override onGroup(from: ZmtpConnection, group: Uint8Array, join: boolean): void {
    this.#fanOut.subscribe(from, group, join);
    this.options.onEvent({
      type: "subscription",
      endpoint: from.remote,
      topic: group.slice(),
      subscribe: join,
    });
    this.changed.fire();
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    const everything = connection.peer.version === "none";
    if (everything) this.#datagrams++;
    this.#fanOut.add(connection, everything);
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.#fanOut.remove(connection);
    if (connection.peer.version !== "none") return;
    this.#datagrams--;
    // The system refused to send them. The rest at the time of `close` is counted there.
    if (this.open) this.#unsendable += connection.reclaim().messages;
  }
}

/** The error for an invalid message; undefined if it is valid. */
function messageError(batch: Batch, at: number, isDatagram: boolean): Error | undefined {
  const frames = batch.messageEnd(at) - at;
  if (frames !== 2) {
    return new RangeError(
      `Cannot send a RADIO message of ${frames} frame${
        frames === 1 ? "" : "s"
      }: expected two, a group and a body`,
    );
  }
  const length = batch.ends[at]! - batch.starts[at]!;
  if (length > MAX_GROUP) {
    return new RangeError(`Cannot use a group of ${length} bytes: expected at most ${MAX_GROUP}`);
  }
  return isDatagram ? datagramMistake(length, batch.ends[at + 1]! - batch.starts[at + 1]!) : undefined;
}
