/** What a broker's topology is made of, and how its durable part is written down. */
import { Buffer } from "node:buffer";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { decodeTable, encodeTable } from "../../../amqp/types/table.ts";

/** A queue as it was declared. */
export interface QueueDefinition {
  /** Of all queues that there ever were, 32 bits: what the journal calls it. */
  readonly id: number;
  readonly vhost: string;
  readonly name: string;
  readonly durable: boolean;
  /** Only the connection that declared it may use it, and it goes with that one. */
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

/** An exchange as it was declared. */
export interface ExchangeDefinition {
  readonly vhost: string;
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  /** It goes with the last binding that leads out of it. */
  readonly autoDelete: boolean;
  /** Clients may not publish to it. */
  readonly internal: boolean;
  /** Of the queue that messages wait in, in an exchange that delays them. */
  readonly delayQueueId?: number;
  readonly arguments: FieldTable;
}

/** A binding as it was declared. */
export interface BindingDefinition {
  readonly vhost: string;
  readonly source: string;
  readonly destinationType: "queue" | "exchange";
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** A field table as base64 of its encoding, which loses nothing; "" for an empty one. */
export type StoredTable = string;

/** A definition in JSON's terms. */
export type Stored<T extends { readonly arguments: FieldTable }> =
  & Omit<T, "arguments">
  & { readonly arguments: StoredTable };

/**
 * One change of what survives a restart, made of JSON's types only. Removing a queue or an exchange removes its
 * bindings with it, and a virtual host everything in it; changes tell so once.
 */
export type DefinitionChange =
  /** No queue gets an id up to this one any more. */
  | { readonly type: "queue-ids-reserved"; readonly upTo: number }
  | { readonly type: "vhost-added"; readonly vhost: string }
  | { readonly type: "vhost-removed"; readonly vhost: string }
  | { readonly type: "queue-added"; readonly queue: Stored<QueueDefinition> }
  | { readonly type: "queue-removed"; readonly vhost: string; readonly name: string; readonly id: number }
  | { readonly type: "exchange-added"; readonly exchange: Stored<ExchangeDefinition> }
  | { readonly type: "exchange-removed"; readonly vhost: string; readonly name: string }
  | { readonly type: "binding-added"; readonly binding: Stored<BindingDefinition> }
  | { readonly type: "binding-removed"; readonly binding: Stored<BindingDefinition> }
  | { readonly type: "user-put"; readonly user: StoredUser }
  | { readonly type: "user-removed"; readonly name: string }
  | {
    readonly type: "permission-put";
    readonly user: string;
    readonly vhost: string;
    readonly permission: Permission;
  }
  | { readonly type: "permission-removed"; readonly user: string; readonly vhost: string };

/** A user with the hash of the password, as in RabbitMQ's definitions. */
export interface StoredUser {
  readonly name: string;
  /** Base64 of a salt of 4 bytes and the hash of salt and password; "" for a user who cannot log in. */
  readonly passwordHash: string;
  readonly hashing: "sha256" | "sha512";
  readonly tags: readonly string[];
}

/** Patterns of the names of queues and exchanges that a user may use in a virtual host; "" matches none but "". */
export interface Permission {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** @throws {RangeError | TypeError} what no table can hold */
export function storeTable(table: FieldTable): StoredTable {
  return Object.keys(table).length === 0 ? "" : Buffer.from(encodeTable(table)).toString("base64");
}

/** @throws {AmqpError} 501: no table */
export function readStoredTable(stored: StoredTable): FieldTable {
  return stored === "" ? Object.create(null) : decodeTable(Buffer.from(stored, "base64"));
}

export function store<T extends { readonly arguments: FieldTable }>(definition: T): Stored<T> {
  return { ...definition, arguments: storeTable(definition.arguments) };
}

export function readStored<T extends { readonly arguments: FieldTable }>(stored: Stored<T>): T {
  return { ...stored, arguments: readStoredTable(stored.arguments) } as unknown as T;
}

/** Equal for tables of equal fields, whatever their order. */
export function tableKey(table: FieldTable): string {
  const names = Object.keys(table);
  if (names.length === 0) return "";
  return storeTable(Object.fromEntries(names.sort().map((name) => [name, table[name]!])));
}
