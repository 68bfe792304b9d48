import type { SocketOptions } from "../options.ts";
import { Receiver } from "../receiver.ts";

/** PULL (RFC 30): receives from PUSH peers. */
export class Pull extends Receiver {
  constructor(options: SocketOptions = {}) {
    super("PULL", options);
  }
}
