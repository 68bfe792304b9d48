/** The definitions that a topology consists of, and the changes of the durable ones that are stored. */
import { Buffer } from "node:buffer";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { decodeTable, encodeTable } from "../../../amqp/types/table.ts";
import type { Limits } from "../policies/limits.ts";
import type { Policy } from "../policies/policy.ts";

/** The definition of a queue. */
export interface QueueDefinition {
  /** A 32-bit id that is never reused; the journal uses it. */
  readonly id: number;
  readonly vhost: string;
  readonly name: string;
  readonly durable: boolean;
  /** Only the declaring connection can use the queue, and the queue is deleted when that connection closes. */
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  /** The queue stores nothing: its messages go to its receiver at once, or are dropped if it has none. */
  readonly direct?: true;
  readonly arguments: FieldTable;
}

/** The definition of an exchange. */
export interface ExchangeDefinition {
  readonly vhost: string;
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  /** The exchange is deleted when its last outgoing binding is removed. */
  readonly autoDelete: boolean;
  /** Clients cannot publish to the exchange. */
  readonly internal: boolean;
  /** The id of the internal queue for delayed messages, in an exchange of type `x-delayed-message`. */
  readonly delayQueueId?: number;
  readonly arguments: FieldTable;
}

/** The definition of a binding. */
export interface BindingDefinition {
  readonly vhost: string;
  readonly source: string;
  readonly destinationType: "queue" | "exchange";
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** The base64 of an encoded field table, which preserves all types; "" for an empty table. */
export type StoredTable = string;

/** A definition with types that JSON supports. */
export type Stored<T extends { readonly arguments: FieldTable }> =
  & Omit<T, "arguments">
  & { readonly arguments: StoredTable };

/**
 * One change of the durable definitions, with types that JSON supports. The removal of a queue or an exchange includes
 * the removal of its bindings, and the removal of a virtual host includes everything in it; there are no separate
 * changes.
 */
export type DefinitionChange =
  /** New queues get ids greater than `upTo`. */
  | { readonly type: "queue-ids-reserved"; readonly upTo: number }
  /** Definitions were damaged, and those of users may be lost. */
  | { readonly type: "users-lost" }
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
  | { readonly type: "permission-removed"; readonly user: string; readonly vhost: string }
  | {
    readonly type: "topic-permission-put";
    readonly user: string;
    readonly vhost: string;
    readonly exchange: string;
    readonly permission: TopicPermission;
  }
  | {
    readonly type: "topic-permission-removed";
    readonly user: string;
    readonly vhost: string;
    readonly exchange: string;
  }
  /** The limits replace all earlier ones. */
  | { readonly type: "vhost-limits-put"; readonly vhost: string; readonly limits: Limits }
  | { readonly type: "default-queue-type-put"; readonly vhost: string; readonly queueType: string }
  | { readonly type: "policy-put"; readonly operator: boolean; readonly policy: Policy }
  | {
    readonly type: "policy-removed";
    readonly operator: boolean;
    readonly vhost: string;
    readonly name: string;
  };

/** A user with a password hash, as in RabbitMQ's definitions. */
export interface StoredUser {
  readonly name: string;
  /** The base64 of a 4-byte salt and the hash of salt and password; "" for a user who cannot log in. */
  readonly passwordHash: string;
  readonly hashing: "sha256" | "sha512";
  readonly tags: readonly string[];
  /** Undefined if there never were any. */
  readonly limits?: Limits;
}

/** Patterns for the names of queues and exchanges that a user can access in a virtual host; "" matches only "". */
export interface Permission {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** Patterns for the routing keys that a user can publish with and bind with, in one topic exchange. */
export interface TopicPermission {
  readonly write: string;
  readonly read: string;
}

/** Encodes a field table. @throws {RangeError | TypeError} a value cannot be encoded */
export function storeTable(table: FieldTable): StoredTable {
  return Object.keys(table).length === 0 ? "" : Buffer.from(encodeTable(table)).toString("base64");
}

/** Decodes a field table. @throws {AmqpError} 501: the table is malformed */
export function readStoredTable(stored: StoredTable): FieldTable {
  return stored === "" ? Object.create(null) : decodeTable(Buffer.from(stored, "base64"));
}

/** Converts a definition to its stored form. */
export function store<T extends { readonly arguments: FieldTable }>(definition: T): Stored<T> {
  return { ...definition, arguments: storeTable(definition.arguments) };
}

/** Converts a definition from its stored form. */
export function readStored<T extends { readonly arguments: FieldTable }>(stored: Stored<T>): T {
  return { ...stored, arguments: readStoredTable(stored.arguments) } as unknown as T;
}

/** Returns a key that is equal for tables with equal fields in any order. */
export function tableKey(table: FieldTable): string {
  const names = Object.keys(table);
  if (names.length === 0) return "";
  return storeTable(Object.fromEntries(names.sort().map((name) => [name, table[name]!])));
}
