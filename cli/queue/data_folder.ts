/** Queues in a folder, with no daemon: whoever comes first opens it, the others talk to that process. */
import path from "node:path";
import type { Broker } from "../../lib/broker/server.ts";
import { MqcatError, UnreachableError } from "../../lib/errors.ts";
import type { ByteStream } from "../../lib/transport/stream.ts";
import { connect } from "../../lib/transport/transport.ts";
import { sleep } from "../../lib/transport/waiting.ts";
import type { Session } from "../app/session.ts";
import { reportBrokerEvents } from "./serve/events.ts";
import { listenInside, openInFolder, socketOf } from "./serve/folder.ts";

/** How long a process that opens or leaves the folder may take until it answers, in milliseconds. */
const PATIENCE_MS = 3000;
const LOOK_MS = 25;

/** A folder with queues. What connects to it again after its process left opens it, or finds the next one. */
export class DataFolder {
  readonly path: string;
  readonly #session: Session;
  #opening: Promise<Broker> | undefined;

  constructor(session: Session, folder: string) {
    this.path = path.resolve(folder);
    this.#session = session;
  }

  /** A stream to the broker that has the folder, be it in this process. */
  async dial(signal: AbortSignal): Promise<ByteStream> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const locked = await this.#open();
      if (locked === undefined) return await connect({ scheme: "inproc", name: this.path }, { signal });
      const socket = socketOf(this.path);
      try {
        if (socket !== undefined) return await connect(socket, { signal });
      } catch (error) {
        if (!(error instanceof UnreachableError)) throw error;
      }
      if (performance.now() > end) {
        throw new UnreachableError(
          `${locked}, or reach it with --url: it does not answer inside of the directory`,
        );
      }
      await sleep(LOOK_MS, signal);
      signal.throwIfAborted();
    }
  }

  /** Opens the folder unless that is done; resolves to who has it when it is somebody else. */
  async #open(): Promise<string | undefined> {
    const first = this.#opening === undefined;
    const tell = reportBrokerEvents(this.#session);
    this.#opening ??= openInFolder(this.path, {
      // The rest is told by the clients, ours among them.
      onEvent: (event) => event.type === "damaged" || event.type === "failed" ? tell(event) : undefined,
    });
    let broker: Broker;
    try {
      broker = await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      if (error instanceof MqcatError && error.code === "ERR_ADDRESS_IN_USE") return error.message;
      throw error;
    }
    if (first) {
      this.#session.onEnd(() => broker.close());
      await broker.listen(`inproc://${this.path}`, true);
      await listenInside(broker, this.path);
    }
    return undefined;
  }
}
