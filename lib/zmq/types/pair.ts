import { UnreachableError } from "../../errors.ts";
import { Dealing } from "../dealing.ts";
import type { SocketOptions } from "../options.ts";

/** PAIR (RFC 31): talks to one PAIR peer, and refuses others as long as it has one. */
export class Pair extends Dealing {
  constructor(options: SocketOptions = {}) {
    super("PAIR", options);
  }

  /** A peer that was refused may come again, and takes the place of one that is gone. */
  protected override admit(): Error | undefined {
    return this.connections.size === 0
      ? undefined
      : new UnreachableError("A PAIR socket talks to one peer, and this one has its own already");
  }
}
