import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import { declareQueue } from "../core/clients/operations.ts";
import type { SessionConnection } from "./contract.ts";
import { type Destination, parseDestination } from "../../crossing/stomp/destination.ts";
import { declarationOf } from "./queue_params.ts";
import { quote } from "./replies.ts";

/** The number of destinations and of declared queues that a session remembers. */
const MAX_KNOWN = 1024;

/** The destinations of a session, and the queues that it has declared for them. */
export class Endpoints {
  readonly #connection: SessionConnection;
  readonly #destinations = new Map<string, Destination>();
  readonly #declared = new Set<string>();

  constructor(connection: SessionConnection) {
    this.#connection = connection;
  }

  /** Returns the destination of a frame. @throws {StompError} it is missing or invalid */
  destinationOf(frame: StompFrame): Destination {
    const text = frame.get("destination");
    if (text === undefined) {
      throw new StompError(
        "Missing destination",
        `${quote(frame.command)} must include a 'destination' header\n`,
      );
    }
    let destination = this.#destinations.get(text);
    if (destination !== undefined) return destination;
    destination = parseDestination(text);
    if (this.#destinations.size === MAX_KNOWN) this.#destinations.clear();
    this.#destinations.set(text, destination);
    return destination;
  }

  /** Declares the queue of a destination `/queue/NAME`, once per session and while it exists. */
  ensureQueue(frame: StompFrame, destination: Destination): void {
    const { key } = destination;
    if (this.#declared.has(key) && this.#connection.vhost.queues.has(key)) return;
    declareQueue(this.#connection, declarationOf(frame, destination, key));
    if (this.#declared.size === MAX_KNOWN) this.#declared.clear();
    this.#declared.add(key);
  }
}
