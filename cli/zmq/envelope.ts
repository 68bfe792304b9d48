import { Buffer } from "node:buffer";
import { messageOf } from "../../lib/errors.ts";
import type { Peer } from "../../lib/zmq/peer.ts";
import type { RoutedSocket } from "../../lib/zmq/routed_socket.ts";
import { framesOf } from "../../lib/zmq/sender.ts";
import type { IncomingRequest } from "../../lib/zmq/types/rep.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import type { Requests } from "../io/answering.ts";
import type { Source } from "../io/input.ts";
import { RecordError } from "../records/json.ts";
import { formatRoutingId, parseRoutingId } from "../records/routing_id.ts";
import type { ZmqRequest } from "./answer.ts";

/**
 * The frames between the routing id and the body, up to the first empty one: a REQ sends an empty frame, and expects it
 * in the reply. A script that reads and writes lines does not see these frames, so they are remembered for each peer.
 */
export class Envelopes {
  readonly #socket: RoutedSocket;
  readonly #onNested: () => void;
  readonly #last = new WeakMap<Peer, Uint8Array[]>();

  /** @param onNested called when one peer forwards requests of several clients, which lines cannot distinguish */
  constructor(socket: RoutedSocket, onNested: () => void) {
    this.#socket = socket;
    this.#onNested = onNested;
  }

  /** Removes the envelope from a message of a peer, and returns the frames of the body. */
  open(id: Uint8Array, frames: Uint8Array[]): Uint8Array[] {
    const length = envelopeLength(frames);
    if (length > 1) this.#onNested();
    const peer = this.#socket.peer(id);
    if (peer !== undefined) this.#last.set(peer, frames.slice(0, length).map((frame) => frame.slice()));
    return frames.slice(length);
  }

  /** The envelope frames of a message to a peer. */
  address(id: Uint8Array): Uint8Array[] {
    const peer = this.#socket.peer(id);
    return [id, ...(peer === undefined ? [] : this.#last.get(peer) ?? [])];
  }
}

/** The number of frames before the body. */
export function envelopeLength(frames: readonly Uint8Array[]): number {
  const delimiter = frames.findIndex((frame) => frame.length === 0);
  return delimiter < frames.length - 1 ? delimiter + 1 : 0;
}

/**
 * Converts the messages of a ROUTER or SERVER to requests; a reply gets the envelope of its request.
 *
 * @param onLost called for each reply that the socket has no room for
 */
export function addressedRequests(socket: RoutedSocket, onLost: () => void): Requests<ZmqRequest> {
  return {
    async receive() {
      const message = await socket.receive();
      if (message === undefined) return undefined;
      const [id, ...rest] = message;
      const length = envelopeLength(rest);
      const head = [id!, ...rest.slice(0, length)];
      const request: IncomingRequest & { routingId: string } = {
        frames: rest.slice(length),
        endpoint: socket.peer(id!)?.remote ?? "",
        routingId: formatRoutingId(id!),
        reply(reply) {
          if (socket.sendBatch(Batch.of([...head, ...framesOf(reply)])) === 0) onLost();
        },
      };
      return request;
    },
    endReceiving: () => socket.endReceiving(),
    get failure() {
      return socket.failure;
    },
  };
}

/**
 * Converts each message of a source, `ID SEPARATOR BODY`, to a message for the peer with this routing id. Messages before
 * an error are returned first; the error is thrown at the next call.
 */
export class AddressedSource implements Source {
  readonly #source: Source;
  readonly #separator: Uint8Array;
  readonly #envelopes: Envelopes;
  #number = 0;
  #failure: unknown;

  constructor(source: Source, separator: Uint8Array, envelopes: Envelopes) {
    this.#source = source;
    this.#separator = separator;
    this.#envelopes = envelopes;
  }

  async next(): Promise<Batch | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    const batch = await this.#source.next();
    if (batch === undefined) return undefined;
    const messages: Uint8Array[][] = [];
    try {
      for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
        messages.push(this.#address(batch.frame(at)));
      }
    } catch (error) {
      if (messages.length === 0) throw error;
      this.#failure = error;
    }
    return Batch.ofMessages(messages);
  }

  cancel(): void {
    this.#source.cancel();
  }

  get cut(): boolean {
    return this.#source.cut;
  }

  get ended(): boolean {
    return this.#source.ended;
  }

  set onEnd(callback: () => void) {
    this.#source.onEnd = callback;
  }

  #address(message: Uint8Array): Uint8Array[] {
    this.#number++;
    const at = Buffer.from(message.buffer, message.byteOffset, message.length).indexOf(this.#separator);
    if (at < 0) {
      throw new RecordError(
        `message ${this.#number} of the input has no routing id: expected ID, a tab (or the separator of -K) and the body`,
      );
    }
    try {
      const id = parseRoutingId(Buffer.from(message.subarray(0, at)).toString());
      return [...this.#envelopes.address(id), message.subarray(at + this.#separator.length)];
    } catch (error) {
      throw new RecordError(`message ${this.#number} of the input: ${messageOf(error)}`);
    }
  }
}
