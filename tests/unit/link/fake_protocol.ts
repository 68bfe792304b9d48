/** A protocol without a network: a script decides what each attempt to connect does. */
import { LimitError, MqcatError, UnreachableError } from "../../../lib/errors.ts";
import type { Envelope } from "../../../lib/link/message.ts";
import type { Port, PortEvents, Publishing } from "../../../lib/link/port.ts";
import type { Address, Attempt, Connection, Protocol } from "../../../lib/link/protocol.ts";

/** The address of a fake server. */
export interface FakeAddress extends Address {
  readonly name: string;
}

export function fakeAddress(name: string): FakeAddress {
  return { name, endpoint: { scheme: "tcp", host: name, port: 1 } };
}

export class FakeConnection implements Connection {
  readonly server = "a fake";
  readonly closed: Promise<Error | undefined>;
  /** Whether `close` was called. */
  isClosed = false;
  #end!: (error: Error | undefined) => void;

  constructor() {
    this.closed = new Promise((resolve) => this.#end = resolve);
  }

  close(): Promise<void> {
    this.isClosed = true;
    this.#end(undefined);
    return Promise.resolve();
  }

  abort(cause: Error = new UnreachableError("aborted")): void {
    this.#end(cause);
  }
}

/** A permanent error. */
export const PERMANENT: MqcatError = new MqcatError("ERR_AUTH", "permanent");
/** A temporary error. */
export const TEMPORARY: MqcatError = new UnreachableError("temporary");

/** What an attempt does: it fails with an error, or is connected. */
export type Step = Error | undefined | ((attempt: Attempt) => Promise<void>);

/** A protocol whose attempts follow a script; all attempts after its end are connected. */
export class FakeProtocol implements Protocol<FakeAddress, FakeConnection> {
  readonly connections: FakeConnection[] = [];
  /** The addresses of all attempts. */
  readonly attempts: string[] = [];
  readonly #script: Step[];

  constructor(...script: Step[]) {
    this.#script = script;
  }

  format({ name }: FakeAddress): string {
    return `fake://${name}`;
  }

  isPermanent(error: unknown): boolean {
    return error === PERMANENT;
  }

  async login(attempt: Attempt, { name }: FakeAddress): Promise<FakeConnection> {
    this.attempts.push(name);
    const step = this.#script.shift();
    if (step instanceof Error) throw step;
    await step?.(attempt);
    const connection = new FakeConnection();
    this.connections.push(connection);
    return connection;
  }
}

/** Records what is published, and lets the test settle it. */
export class FakePublishing implements Publishing<FakeConnection> {
  /** The messages of each connection: `tag topic body`. */
  readonly published: string[][] = [];
  /** The events of the last connection. */
  events!: PortEvents;
  /** The size limit of bodies on the next connections. */
  limit = Infinity;
  /** The number of messages after which the port of a connection is full. */
  room = Infinity;

  check({ routingKey }: Envelope): number {
    if (routingKey === "bad") throw new LimitError("a bad topic");
    return this.limit;
  }

  open(_connection: FakeConnection, events: PortEvents): Promise<Port> {
    const list: string[] = [];
    this.published.push(list);
    this.events = events;
    const isFull = () => list.length >= this.room;
    return Promise.resolve({
      get full() {
        return isFull();
      },
      publish(tag, { routingKey }, bytes, start, end) {
        list.push(`${tag} ${routingKey} ${new TextDecoder().decode(bytes.subarray(start, end))}`);
      },
      flush() {},
    });
  }
}
