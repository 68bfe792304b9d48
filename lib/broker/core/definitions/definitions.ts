/** Imports and exports RabbitMQ's definitions (https://www.rabbitmq.com/definitions.html). */
import { AmqpError } from "../../../amqp/amqp_error.ts";
import { messageOf, MqcatError } from "../../../errors.ts";
import { JsonError, JsonObject } from "./json_object.ts";
import { type Json, tableFromJson, tableToJson } from "./table.ts";
import { hashPassword } from "../users/password.ts";
import type { StoredUser } from "../topology/definition_change.ts";
import type { UserStore } from "../users/user_store.ts";
import type { VirtualHost } from "../topology/vhost.ts";

/** The part of a broker that definitions describe. */
export interface DefinitionsTarget {
  readonly users: UserStore;
  readonly vhosts: ReadonlyMap<string, VirtualHost>;
  /** Adds a virtual host, or returns the existing one. */
  addVirtualHost(name: string): VirtualHost;
}

/** Reports definitions that are malformed or use features that this broker does not have. */
export class DefinitionsError extends MqcatError {
  constructor(explanation: string, options?: ErrorOptions) {
    super("ERR_DEFINITIONS", `Cannot load the definitions: ${explanation}`, options);
  }
}

const HASHINGS: Readonly<Record<string, StoredUser["hashing"]>> = {
  rabbit_password_hashing_sha256: "sha256",
  rabbit_password_hashing_sha512: "sha512",
};

/** The keys of policies that have no effect on a single broker. */
const HARMLESS = /^(ha-|queue-mode$|queue-version$|queue-master-locator$|queue-leader-locator$|federation-)/;

/** Parameters that every RabbitMQ broker has. */
const COMMON_PARAMETERS = ["internal_cluster_id", "cluster_name"];

/**
 * Imports definitions. Existing objects stay unchanged. The form of all definitions is checked before the first change.
 *
 * @param vhost the virtual host, for definitions of one virtual host that do not name it
 * @returns a warning for each ignored definition
 * @throws {DefinitionsError} the definitions are malformed, or use features that this broker does not have
 */
export function importDefinitions(target: DefinitionsTarget, json: Json, vhost?: string): string[] {
  const warnings: string[] = [];
  for (const { path, work } of read(target, json, vhost, warnings)) {
    try {
      work();
    } catch (error) {
      const kept = error instanceof AmqpError && error.replyText.includes("inequivalent arg");
      if (!kept) throw new DefinitionsError(`${path}: ${messageOf(error)}`, { cause: error });
      warnings.push(`${path} exists and stays unchanged: ${error.message}`);
    }
  }
  return warnings;
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
  const of = (name: string): { [name: string]: Json } => vhost === undefined ? { vhost: name } : {};
  const queues = vhosts.flatMap(({ queues }) => [...queues.values()].map(({ definition }) => definition));
  const exchanges = vhosts.flatMap(({ exchanges }) =>
    [...exchanges.values()].map(({ definition }) => definition)
  );
  const bindings = vhosts.flatMap((vhost) => [...vhost.bindings()].map((binding) => ({ vhost, binding })));
  return {
    rabbit_version: product.productVersion,
    rabbitmq_version: product.productVersion,
    product_name: product.product,
    product_version: product.productVersion,
    ...(vhost === undefined
      ? {
        users: [...target.users].map(userToJson),
        vhosts: vhosts.map(({ name }) => ({ name })),
        permissions: [...target.users.permissions()].map((permission) => ({ ...permission })),
        topic_permissions: [],
        global_parameters: [],
      }
      : {}),
    parameters: [],
    policies: [],
    queues: queues.filter(({ exclusive }) => !exclusive).map((queue) => ({
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

/** Converts a user to the JSON of RabbitMQ's management. */
export function userToJson(user: StoredUser): { [name: string]: Json } {
  return {
    name: user.name,
    password_hash: user.passwordHash,
    hashing_algorithm: `rabbit_password_hashing_${user.hashing}`,
    tags: [...user.tags],
    limits: {},
  };
}

/**
 * Reads a user from JSON with `password_hash` and `hashing_algorithm`, or `password`.
 *
 * @throws {JsonError} the JSON is malformed, or the hashing algorithm is unknown
 */
export function userFromJson(object: JsonObject, name: string): StoredUser {
  const password = object.text("password", "");
  const algorithm = object.text("hashing_algorithm", "rabbit_password_hashing_sha256");
  const hashing = Object.hasOwn(HASHINGS, algorithm) ? HASHINGS[algorithm]! : undefined;
  if (hashing === undefined) {
    throw object.mistake(
      "hashing_algorithm",
      `must be one of ${Object.keys(HASHINGS).join(", ")}: received '${algorithm}'`,
    );
  }
  const passwordHash = password === "" ? object.text("password_hash", "") : hashPassword(password, hashing);
  const tags = object.texts("tags");
  return { name, passwordHash, hashing, tags };
}

/** The import of one object, which runs after all objects were checked. */
interface ImportStep {
  readonly path: string;
  readonly work: () => void;
}

function read(
  target: DefinitionsTarget,
  json: Json,
  vhost: string | undefined,
  warnings: string[],
): ImportStep[] {
  try {
    const root = new JsonObject("", json);
    refuseUnknown(root);
    warn(root, warnings);
    const inVhost = (object: JsonObject) => vhost ?? object.text("vhost");
    return [
      ...root.objects("vhosts").map((object) => readVhost(target, object, warnings)),
      ...root.objects("users").map((object) => readUser(target, object, warnings)),
      ...root.objects("permissions").map((object) => readPermission(target, object)),
      ...root.objects("exchanges").map((object) => readExchange(target, object, inVhost(object))),
      ...root.objects("queues").map((object) => readQueue(target, object, inVhost(object))),
      ...root.objects("bindings").map((object) => readBinding(target, object, inVhost(object))),
    ];
  } catch (error) {
    if (error instanceof JsonError) throw new DefinitionsError(error.message, { cause: error });
    throw error;
  }
}

/** The owner of imported queues: no connection. */
const NO_OWNER = {};

function readVhost(target: DefinitionsTarget, object: JsonObject, warnings: string[]): ImportStep {
  const name = object.text("name");
  if (object.has("limits")) {
    warnings.push(`${object.path}: limits of virtual hosts are not supported and are ignored`);
  }
  return { path: object.path, work: () => void target.addVirtualHost(name) };
}

function readUser(target: DefinitionsTarget, object: JsonObject, warnings: string[]): ImportStep {
  const user = userFromJson(object, object.text("name"));
  if (object.has("limits")) {
    warnings.push(`${object.path}: limits of users are not supported and are ignored`);
  }
  return { path: object.path, work: () => target.users.putHashed(user) };
}

function readPermission(target: DefinitionsTarget, object: JsonObject): ImportStep {
  const user = object.text("user");
  const vhost = object.text("vhost");
  const permission = {
    configure: object.text("configure"),
    write: object.text("write"),
    read: object.text("read"),
  };
  return {
    path: object.path,
    work() {
      vhostOf(target, vhost);
      target.users.permit(user, vhost, permission);
    },
  };
}

function readExchange(target: DefinitionsTarget, object: JsonObject, vhost: string): ImportStep {
  const args = {
    exchange: object.text("name"),
    type: object.text("type"),
    passive: false,
    durable: object.flag("durable", true),
    autoDelete: object.flag("auto_delete", false),
    internal: object.flag("internal", false),
    arguments: tableFromJson(object.object("arguments")),
  };
  return { path: object.path, work: () => vhostOf(target, vhost).declareExchange(args) };
}

function readQueue(target: DefinitionsTarget, object: JsonObject, vhost: string): ImportStep {
  const args = {
    queue: object.text("name"),
    passive: false,
    durable: object.flag("durable", true),
    exclusive: false,
    autoDelete: object.flag("auto_delete", false),
    arguments: tableFromJson(object.object("arguments")),
  };
  return { path: object.path, work: () => void vhostOf(target, vhost).declareQueue(args, NO_OWNER) };
}

function readBinding(target: DefinitionsTarget, object: JsonObject, vhost: string): ImportStep {
  const source = object.text("source");
  const destination = object.text("destination");
  const kind = object.text("destination_type", "queue");
  if (kind !== "queue" && kind !== "exchange") {
    throw object.mistake("destination_type", `must be 'queue' or 'exchange': received '${kind}'`);
  }
  const routingKey = object.text("routing_key", "");
  const args = tableFromJson(object.object("arguments"));
  return {
    path: object.path,
    work() {
      const home = vhostOf(target, vhost);
      if (kind === "exchange") home.bindExchange({ source, destination, routingKey, arguments: args });
      else home.bindQueue({ exchange: source, queue: destination, routingKey, arguments: args }, NO_OWNER);
    },
  };
}

function vhostOf(target: DefinitionsTarget, name: string): VirtualHost {
  const vhost = target.vhosts.get(name);
  if (vhost === undefined) throw new RangeError(`virtual host '${name}' does not exist`);
  return vhost;
}

/** Refuses definitions whose absence would change the routing of messages or the access to them. */
function refuseUnknown(root: JsonObject): void {
  for (const object of root.objects("policies")) {
    const unknown = Object.keys(object.object("definition")).filter((name) => !HARMLESS.test(name));
    if (unknown.length > 0) {
      throw new DefinitionsError(
        `${object.path} ('${object.text("name")}') sets ${
          unknown.join(", ")
        }, but this broker does not support policies; ` +
          "remove the policy and set arguments of the queues (x-message-ttl, x-dead-letter-exchange, …)",
      );
    }
  }
  const [topic] = root.objects("topic_permissions");
  if (topic !== undefined) {
    throw new DefinitionsError(
      `${topic.path} restricts routing keys, but this broker does not support topic permissions; ` +
        "remove it or use permissions on exchanges",
    );
  }
}

function warn(root: JsonObject, warnings: string[]): void {
  for (const object of root.objects("policies")) {
    warnings.push(
      `${object.path} ('${object.text("name")}') is ignored: this broker is a single node without replicas`,
    );
  }
  for (const object of [...root.objects("parameters"), ...root.objects("global_parameters")]) {
    const name = object.text("name", "");
    if (COMMON_PARAMETERS.includes(name)) continue;
    warnings.push(
      `${object.path} (${
        object.text("component", "global")
      } '${name}') is ignored: it has no effect on this broker`,
    );
  }
}

function isExclusive(definition: object): boolean {
  return "exclusive" in definition && definition.exclusive === true;
}
