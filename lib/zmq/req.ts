import { ClosedError } from "../errors.ts";
import { Batch } from "../zmtp/batch.ts";
import { EMPTY } from "../zmtp/bytes.ts";
import type { Connection } from "../zmtp/connection.ts";
import type { SocketOptions } from "./options.ts";
import { RoundRobin } from "./round_robin.ts";
import { framesOf, type Outgoing } from "./sender.ts";
import { Socket } from "./socket.ts";

/**
 * REQ (RFC 28): asks REP peers in turn, one request at a time. When the peer that was asked goes away before it
 * replied, the request is sent again to whichever peer is there next: a service may see it twice.
 */
export class Req extends Socket {
  readonly #circle = new RoundRobin();
  #busy = false;
  #asked: Connection | undefined;
  #reply: Uint8Array[] | undefined;
  /** Where the last reply came from, in the form of an endpoint. */
  lastPeer = "";

  constructor(options: SocketOptions = {}) {
    super("REQ", options);
  }

  /**
   * Sends a request and waits for its reply, for as long as it takes unless `signal` ends that. A peer that was asked
   * in vain is disconnected, so that its late reply is not taken for the next one's.
   *
   * @returns the frames of the reply
   * @throws {ClosedError} the socket was closed meanwhile
   * @throws the reason of `signal`
   */
  async request(message: Outgoing, signal?: AbortSignal): Promise<Uint8Array[]> {
    if (this.#busy) {
      throw new Error("Cannot send a request while another one waits for its reply");
    }
    const batch = Batch.of([EMPTY, ...framesOf(message)]);
    this.#busy = true;
    const wake = () => this.changed.fire();
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        const peer = await this.#until(() => this.#circle.pick(), signal);
        this.#asked = peer;
        peer.outbox.appendBatch(batch, 0, batch.frames);
        peer.outbox.flush();
        const reply = await this.#until(() => this.#asked === undefined ? "gone" : this.#reply, signal);
        if (reply !== "gone") return reply;
        this.options.onEvent({ type: "request-again", endpoint: peer.remote });
      }
    } finally {
      signal?.removeEventListener("abort", wake);
      if (this.#reply === undefined) this.#asked?.close();
      this.#asked = this.#reply = undefined;
      this.#busy = false;
    }
  }

  async #until<T>(look: () => T | undefined, signal: AbortSignal | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (signal?.aborted) throw signal.reason;
      if (this.failure !== undefined) throw this.failure;
      if (this.closed) throw new ClosedError("The REQ socket was closed before the reply came");
      await this.changed.wait();
    }
  }

  /** Only a reply counts: an empty frame and a body, from the peer that was asked (RFC 28). */
  override onBatch(from: Connection, batch: Batch): void {
    if (from !== this.#asked || this.#reply !== undefined) return;
    for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
      const end = batch.messageEnd(at);
      if (end - at < 2 || batch.starts[at] !== batch.ends[at]) continue;
      this.#reply = batch.copy(at + 1, end);
      this.lastPeer = from.remote;
      this.changed.fire();
      return;
    }
  }

  protected override onAttach(connection: Connection): void {
    this.#circle.add(connection);
  }

  protected override onDetach(connection: Connection): void {
    this.#circle.drop(connection);
    if (connection === this.#asked && this.#reply === undefined) this.#asked = undefined;
  }
}
