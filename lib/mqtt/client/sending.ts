import { UnreachableError } from "../../errors.ts";
import type { Envelope } from "../../link/message.ts";
import type { PortEvents, Publishing } from "../../link/port.ts";
import type { MqttConnection } from "./connection.ts";
import type { PropertyMapping } from "./mapping.ts";
import { checkMode, Outgoing, type PublishMode } from "./outgoing.ts";
import { PacketIds } from "./packet_ids.ts";
import { PacketPort } from "./publisher_port.ts";
import type { Session } from "./session.ts";

/** Publishes with packet identifiers, which continue on the next connection if the server has kept the session. */
export class Sending implements Publishing<MqttConnection> {
  readonly outgoing: Outgoing;

  readonly #session: Session;
  readonly #mode: PublishMode;
  #port: PacketPort | undefined;

  constructor(session: Session, mapping: PropertyMapping | undefined, mode: PublishMode) {
    this.#session = session;
    this.#mode = mode;
    this.outgoing = new Outgoing(mapping, mode);
  }

  check(envelope: Envelope): number {
    this.outgoing.set(envelope);
    return this.outgoing.room;
  }

  async open(connection: MqttConnection, events: PortEvents): Promise<PacketPort> {
    const { version, limits, sessionPresent } = connection;
    checkMode(this.#mode, limits);
    const { outgoing } = this;
    const last = sessionPresent ? this.#port?.ids : undefined;
    if (last !== undefined && (version !== outgoing.version || outgoing.isOver(limits))) {
      // A message may be refused now, so the identifiers would not belong to the same messages any more.
      this.#session.fresh = true;
      throw new UnreachableError(
        "The limits of the server have changed: the next connection begins a new session",
      );
    }
    outgoing.onConnection(version, limits);
    const port = new PacketPort(
      connection,
      events,
      outgoing,
      new PacketIds(limits.receiveMaximum, last),
      this.#mode,
    );
    this.#port = port;
    this.#session.fresh = false;
    connection.begin();
    return await Promise.resolve(port);
  }
}
