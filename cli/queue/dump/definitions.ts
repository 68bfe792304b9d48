/** The definitions in a dump, in RabbitMQ's format for one virtual host. */
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { addDefinitions } from "../../../lib/amqp/client/management.ts";
import { declareQueue, withChannel } from "../../../lib/amqp/client/queues.ts";
import type { BrokerAddress } from "../../../lib/amqp/client/url.ts";
import { type FieldJson, tableFromJson } from "../../brokers/values.ts";

type Arguments = { readonly [name: string]: FieldJson };

interface QueueJson {
  readonly name: string;
  readonly durable: boolean;
  readonly auto_delete: boolean;
  readonly arguments: Arguments;
}

interface ExchangeJson extends QueueJson {
  readonly type: string;
  readonly internal: boolean;
}

interface BindingJson {
  readonly source: string;
  readonly destination: string;
  readonly destination_type: "queue" | "exchange";
  readonly routing_key: string;
  readonly arguments: Arguments;
}

/** A policy, or a parameter, which has a component. */
interface NamedJson {
  readonly name: string;
  readonly component?: string;
  readonly [member: string]: unknown;
}

/** The definitions of a virtual host, or of some of its queues. */
export interface Definitions {
  readonly queues: readonly QueueJson[];
  readonly exchanges: readonly ExchangeJson[];
  readonly bindings: readonly BindingJson[];
  readonly policies?: readonly NamedJson[];
  readonly parameters?: readonly NamedJson[];
}

/** The definitions that concern some queues: the queues, the exchanges that route to them, and the bindings of both. */
export function definitionsFor(all: Definitions, names: ReadonlySet<string>): Definitions {
  const reached = new Set<string>();
  const bindings = new Set(
    all.bindings.filter((one) => one.destination_type === "queue" && names.has(one.destination)),
  );
  for (const { source } of bindings) {
    if (reached.has(source)) continue;
    reached.add(source);
    // An exchange may get its messages from others. The loop also visits what is added.
    for (const one of all.bindings) {
      if (one.destination_type === "exchange" && one.destination === source) bindings.add(one);
    }
  }
  return {
    queues: all.queues.filter(({ name }) => names.has(name)),
    exchanges: all.exchanges.filter(({ name }) => reached.has(name)),
    bindings: [...bindings],
  };
}

/** Sorts definitions, so that equal definitions are equal text, and leaves out all members that do not define anything. */
export function sorted(definitions: Definitions): Definitions {
  const { queues, exchanges, bindings, policies = [], parameters = [] } = definitions;
  const named = (list: readonly NamedJson[]) => order(list.map(({ vhost: _, ...rest }) => rest as NamedJson));
  return {
    queues: order(queues.map(({ name, durable, auto_delete, arguments: args }) => ({
      name,
      durable,
      auto_delete,
      arguments: args,
    }))),
    exchanges: order(exchanges.map(({ name, type, durable, auto_delete, internal, arguments: args }) => ({
      name,
      type,
      durable,
      auto_delete,
      internal,
      arguments: args,
    }))),
    bindings: order(
      bindings.map(({ source, destination, destination_type, routing_key, arguments: args }) => ({
        source,
        destination,
        destination_type,
        routing_key,
        arguments: args,
      })),
    ),
    ...(policies.length > 0 ? { policies: named(policies) } : {}),
    ...(parameters.length > 0 ? { parameters: named(parameters) } : {}),
  };
}

function order<T>(list: readonly T[]): T[] {
  return list.map((one) => ({ one, text: JSON.stringify(one) })).sort((a, b) => a.text < b.text ? -1 : 1)
    .map(({ one }) => one);
}

/**
 * Declares queues, exchanges and bindings. What exists with the same properties stays as it is.
 *
 * @throws {MqcatError} something exists with other properties, or the user may not declare it
 */
export async function declareAll(connection: AmqpConnection, definitions: Definitions): Promise<void> {
  for (const { name, durable, auto_delete: autoDelete, arguments: args } of definitions.queues) {
    await declareQueue(connection, name, { durable, autoDelete, arguments: tableFromJson(args) });
  }
  await withChannel(connection, async (channel) => {
    for (
      const { name, type, durable, auto_delete: autoDelete, internal, arguments: args } of definitions
        .exchanges
    ) {
      if (name === "" || name.startsWith("amq.")) continue;
      const given = { exchange: name, type, durable, autoDelete, internal, arguments: tableFromJson(args) };
      await channel.call("exchange.declare", given, "exchange.declare-ok");
    }
    for (
      const { source, destination, destination_type: kind, routing_key, arguments: args } of definitions
        .bindings
    ) {
      if (source === "") continue;
      const given = { routingKey: routing_key, arguments: tableFromJson(args) };
      if (kind === "queue") {
        await channel.call("queue.bind", { ...given, queue: destination, exchange: source }, "queue.bind-ok");
      } else await channel.call("exchange.bind", { ...given, destination, source }, "exchange.bind-ok");
    }
  });
}

/**
 * Sets policies, operator policies and limits, which only the HTTP API can do. The user must be an administrator.
 *
 * @param bases URLs of the HTTP API
 */
export async function setPolicies(
  bases: readonly string[],
  broker: BrokerAddress,
  { policies = [], parameters = [] }: Definitions,
): Promise<void> {
  await addDefinitions(bases, broker, { policies, parameters });
}
