/** Exports RabbitMQ's definitions (https://www.rabbitmq.com/definitions.html). */
import { hasMqttRecords } from "../policies/own_queues.ts";
import { policyToJson } from "../policies/policy.ts";
import type { VirtualHost } from "../topology/vhost.ts";
import type { UserStore } from "../users/user_store.ts";
import { type Json, tableToJson } from "./table.ts";
import { userToJson } from "./user_json.ts";

/** The part of a broker that definitions describe. */
export interface DefinitionsTarget {
  readonly users: UserStore;
  readonly vhosts: ReadonlyMap<string, VirtualHost>;
  /** Adds a virtual host, or returns the existing one. */
  addVirtualHost(name: string): VirtualHost;
}

/**
 * Exports definitions.
 *
 * @param product the name and the version of the broker, for information
 * @param vhost exports the queues, exchanges and bindings of this virtual host only. Default: everything
 */
export function exportDefinitions(
  target: DefinitionsTarget,
  product: { readonly product: string; readonly productVersion: string },
  vhost?: string,
): { [name: string]: Json } {
  const vhosts = [...target.vhosts.values()].filter(({ name }) => vhost === undefined || name === vhost);
  return {
    rabbit_version: product.productVersion,
    rabbitmq_version: product.productVersion,
    product_name: product.product,
    product_version: product.productVersion,
    ...(vhost === undefined
      ? {
        users: [...target.users].map(userToJson),
        vhosts: vhosts.map(vhostToJson),
        permissions: [...target.users.permissions()].map((permission) => ({ ...permission })),
        topic_permissions: [...target.users.topicPermissions()].map((permission) => ({ ...permission })),
        global_parameters: [],
      }
      : {}),
    ...definitionsOf(vhosts, vhost === undefined),
  };
}

/**
 * Exports the definitions in virtual hosts.
 *
 * @param named whether each queue, exchange and binding names its virtual host
 */
export function definitionsOf(vhosts: readonly VirtualHost[], named = false) {
  const of = (name: string): { vhost?: string } => named ? { vhost: name } : {};
  const queues = vhosts.flatMap(({ queues }) => [...queues.values()].map(({ definition }) => definition))
    .filter(({ name, exclusive, direct }) => !exclusive && direct !== true && !hasMqttRecords(name));
  const exchanges = vhosts.flatMap(({ exchanges }) =>
    [...exchanges.values()].map(({ definition }) => definition)
  );
  const bindings = vhosts.flatMap((vhost) => [...vhost.bindings()].map((binding) => ({ vhost, binding })));
  return {
    parameters: vhosts.flatMap(parametersOf),
    policies: vhosts.flatMap(({ policies }) => [...policies.list(false)].map(policyToJson)),
    queues: queues.map((queue) => ({
      name: queue.name,
      ...of(queue.vhost),
      durable: queue.durable,
      auto_delete: queue.autoDelete,
      arguments: tableToJson(queue.arguments),
    })),
    exchanges: exchanges.filter(({ name }) => name !== "" && !name.startsWith("amq.")).map((exchange) => ({
      name: exchange.name,
      ...of(exchange.vhost),
      type: exchange.type,
      durable: exchange.durable,
      auto_delete: exchange.autoDelete,
      internal: exchange.internal,
      arguments: tableToJson(exchange.arguments),
    })),
    bindings: bindings.filter(({ binding }) => !isExclusive(binding.destination.definition)).map((
      { vhost, binding },
    ) => ({
      source: binding.source.name,
      ...of(vhost.name),
      destination: binding.destination.definition.name,
      destination_type: "internal" in binding.destination.definition ? "exchange" : "queue",
      routing_key: binding.routingKey,
      arguments: tableToJson(binding.arguments),
    })),
  };
}

function vhostToJson({ name, defaultQueueType }: VirtualHost): { [name: string]: Json } {
  if (defaultQueueType === undefined) return { name };
  const metadata = { description: "", tags: [], default_queue_type: defaultQueueType };
  return { name, description: "", tags: [], default_queue_type: defaultQueueType, metadata };
}

/** Limits and operator policies, which RabbitMQ stores as parameters. */
function parametersOf({ name: vhost, limits, policies }: VirtualHost): Json[] {
  const parameters: Json[] = [];
  if (Object.keys(limits).length > 0) {
    parameters.push({ component: "vhost-limits", vhost, name: "limits", value: { ...limits } });
  }
  for (const policy of policies.list(true)) {
    const { vhost: _vhost, name, ...value } = policyToJson(policy);
    parameters.push({ component: "operator_policy", vhost, name: name!, value });
  }
  return parameters;
}

/** Whether a queue belongs to one client, so that its definition is of no use elsewhere. */
function isExclusive(definition: object): boolean {
  return "exclusive" in definition && definition.exclusive === true || "direct" in definition;
}
