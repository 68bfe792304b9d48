/** Queues in a folder without a daemon: the first process opens the folder, and other processes connect to it. */
import path from "node:path";
import type { Broker } from "../../lib/broker/server.ts";
import { MqcatError, UnreachableError } from "../../lib/errors.ts";
import type { ByteStream } from "../../lib/transport/stream.ts";
import { connect } from "../../lib/transport/transport.ts";
import { sleep } from "../../lib/transport/waiting.ts";
import type { Session } from "../app/session.ts";
import { reportBrokerEvents } from "./serve/events.ts";
import { listenInside, openInFolder, socketOf } from "./serve/folder.ts";

/** How long to wait for a process that is opening or leaving the folder, in milliseconds. */
const PATIENCE_MS = 3000;
const LOOK_MS = 25;

/** A folder with queues. When its process has exited, a reconnecting client opens it, or finds its new process. */
export class DataFolder {
  readonly path: string;
  readonly #session: Session;
  #opening: Promise<Broker> | undefined;

  constructor(session: Session, folder: string) {
    this.path = path.resolve(folder);
    this.#session = session;
  }

  /** A stream to the broker that has the folder open, which may be in this process. */
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
          `${locked}, or reach it with --url: no process answers at the socket in the directory`,
        );
      }
      await sleep(LOOK_MS, signal);
      signal.throwIfAborted();
    }
  }

  /** Opens the folder if it is not open; resolves to the other process when one has it open. */
  async #open(): Promise<string | undefined> {
    const first = this.#opening === undefined;
    const onEvent = reportBrokerEvents(this.#session);
    this.#opening ??= openInFolder(this.path, {
      // The clients, including ours, report all other events.
      onEvent: (event) => event.type === "damaged" || event.type === "failed" ? onEvent(event) : undefined,
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
