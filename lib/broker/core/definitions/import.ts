/** Imports RabbitMQ's definitions (https://www.rabbitmq.com/definitions.html). */
import { AmqpError } from "../../../amqp/amqp_error.ts";
import { messageOf, MqcatError } from "../../../errors.ts";
import { readLimits } from "../policies/limits.ts";
import { PolicyError, readPolicy } from "../policies/policy.ts";
import type { VirtualHost } from "../topology/vhost.ts";
import type { DefinitionsTarget } from "./definitions.ts";
import { isObject, JsonError, JsonObject } from "./json_object.ts";
import { Rehearsal } from "./rehearsal.ts";
import { type Json, tableFromJson } from "./table.ts";
import { userFromJson } from "./user_json.ts";

/** Reports definitions that are malformed or need features that this broker does not have: all mistakes at once. */
export class DefinitionsError extends MqcatError {
  /** The mistakes, one sentence each. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[], options?: ErrorOptions) {
    const [first, ...others] = mistakes.slice(0, MAX_SHOWN);
    const more = mistakes.length > MAX_SHOWN ? `; and ${mistakes.length - MAX_SHOWN} more` : "";
    super(
      "ERR_DEFINITIONS",
      others.length === 0
        ? `Cannot load the definitions: ${first}`
        : `Cannot load the definitions, which have ${mistakes.length} mistakes:${
          [first, ...others].map((mistake, i) => ` (${i + 1}) ${mistake}`).join(";")
        }${more}`,
      options,
    );
    this.mistakes = mistakes;
  }
}

/** The number of mistakes in the text of an error. */
const MAX_SHOWN = 100;

/** Parameters that every RabbitMQ broker has. */
const COMMON_PARAMETERS = ["internal_cluster_id", "cluster_name"];

/** The prefix of the names that servers generate. */
const SERVER_NAMED = "amq.gen-";

/** The keys of policies that have no effect on a single broker. */
const NO_EFFECT = /^(ha-|federation-)/;

/** The owner of imported queues: no connection. */
const NO_OWNER = {};

/** The import of one object. */
interface ImportStep {
  readonly path: string;
  /** Identifies a queue or an exchange among all. */
  readonly provides?: string;
  /** The queues and exchanges that it needs. */
  readonly needs?: readonly string[];
  work(target: DefinitionsTarget): void;
}

/**
 * Imports definitions. Existing queues, exchanges and bindings stay unchanged; users, permissions, policies and limits
 * are replaced. All definitions are checked before the first change: if one is refused, nothing changes.
 *
 * @param vhost the virtual host of all definitions, for the definitions of one virtual host
 * @returns a warning for each ignored definition
 * @throws {DefinitionsError} the definitions are malformed, or need features that this broker does not have
 */
export function importDefinitions(target: DefinitionsTarget, json: Json, vhost?: string): string[] {
  const reader = new DefinitionsReader(json, vhost);
  const steps = reader.read();
  const mistakes = [...reader.mistakes];
  const rehearsal = new Rehearsal(target);
  try {
    run(steps, rehearsal, mistakes, []);
  } finally {
    rehearsal.close();
  }
  if (mistakes.length > 0) throw new DefinitionsError(mistakes);
  const { warnings } = reader;
  run(steps, target, mistakes, warnings);
  if (mistakes.length > 0) throw new DefinitionsError(mistakes);
  return warnings;
}

function run(
  steps: readonly ImportStep[],
  target: DefinitionsTarget,
  mistakes: string[],
  warnings: string[],
): void {
  const failed = new Set<string>();
  for (const { path, provides, needs, work } of steps) {
    // The mistake of the queue or exchange is enough.
    if (needs?.some((one) => failed.has(one))) continue;
    try {
      work(target);
    } catch (error) {
      if (error instanceof AmqpError && error.replyText.includes("inequivalent arg")) {
        warnings.push(`${path} exists and stays unchanged: ${error.message}`);
        continue;
      }
      if (provides !== undefined) failed.add(provides);
      if (error instanceof PolicyError) mistakes.push(...error.mistakes.map((one) => `${path}: ${one}`));
      else mistakes.push(`${path}: ${messageOf(error)}`);
    }
  }
}

/** Reads definitions into steps. Mistakes and warnings are collected. */
class DefinitionsReader {
  readonly mistakes: string[] = [];
  readonly warnings: string[] = [];
  readonly #json: Json;
  #vhost: string | undefined;
  /** The names of skipped queues, and the number of their bindings. */
  readonly #serverNamed: string[] = [];
  #skippedBindings = 0;

  constructor(json: Json, vhost: string | undefined) {
    this.#json = json;
    this.#vhost = vhost;
  }

  read(): ImportStep[] {
    const root = this.#try(() => new JsonObject("", this.#json));
    if (root === undefined) return [];
    if (this.#vhost === undefined && isOfOneVhost(root)) this.#vhost = "/";
    const steps = [
      ...this.#all(root, "vhosts", (object) => this.#readVhost(object)),
      ...this.#all(root, "users", (object) => [readUser(object)]),
      ...this.#all(root, "permissions", (object) => [readPermission(object)]),
      ...this.#all(root, "topic_permissions", (object) => [readTopicPermission(object)]),
      ...this.#all(root, "parameters", (object) => this.#readParameter(object)),
      ...this.#all(root, "global_parameters", (object) => this.#ignore(object, "global")),
      ...this.#all(root, "policies", (object) => [this.#readPolicy(object)]),
      ...this.#all(root, "exchanges", (object) => [this.#readExchange(object)]),
      ...this.#all(root, "queues", (object) => this.#readQueue(object)),
      ...this.#all(root, "bindings", (object) => this.#readBinding(object)),
    ];
    this.#warnOfServerNamed();
    return steps;
  }

  #all(root: JsonObject, name: string, read: (object: JsonObject) => ImportStep[]): ImportStep[] {
    const list = root.value(name) ?? [];
    if (!Array.isArray(list)) {
      this.mistakes.push(`${name} must be a list`);
      return [];
    }
    return list.flatMap((one, i) => this.#try(() => read(new JsonObject(`${name}[${i}]`, one))) ?? []);
  }

  #try<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.mistakes.push(error.message);
      return undefined;
    }
  }

  /** The virtual host of a definition. An export of one virtual host has no such member. */
  #vhostOf(object: JsonObject): string {
    return this.#vhost ?? object.text("vhost");
  }

  #readVhost(object: JsonObject): ImportStep[] {
    const name = object.text("name");
    const metadata = new JsonObject(`${object.path}.metadata`, object.object("metadata"));
    const type = metadata.text("default_queue_type", object.text("default_queue_type", "undefined"));
    const limits = object.object("limits");
    return [{
      path: object.path,
      work(target) {
        const vhost = target.addVirtualHost(name);
        if (type !== "undefined") vhost.setDefaultQueueType(type.replace(/^rabbit_(\w+)_queue$/, "$1"));
        if (Object.keys(limits).length > 0) vhost.setLimits(readLimits(limits, "vhost"));
      },
    }];
  }

  #readParameter(object: JsonObject): ImportStep[] {
    const component = object.text("component", "");
    const { path } = object;
    if (component === "operator_policy") {
      return [this.#policyStep(path, new JsonObject(`${path}.value`, object.object("value")), object, true)];
    }
    if (component !== "vhost-limits") return this.#ignore(object, component);
    const vhost = this.#vhostOf(object);
    const limits = object.object("value");
    return [{ path, work: (target) => vhostOf(target, vhost).setLimits(readLimits(limits, "vhost")) }];
  }

  #ignore(object: JsonObject, component: string): ImportStep[] {
    const name = object.text("name", "");
    if (!COMMON_PARAMETERS.includes(name)) {
      this.warnings.push(
        `${object.path} (${component} '${name}') is ignored: it has no effect on this broker`,
      );
    }
    return [];
  }

  #readPolicy(object: JsonObject): ImportStep {
    return this.#policyStep(object.path, object, object, false);
  }

  #policyStep(path: string, value: JsonObject, object: JsonObject, operator: boolean): ImportStep {
    const vhost = this.#vhostOf(object);
    const name = object.text("name");
    const keys = Object.keys(value.object("definition"));
    if (keys.length > 0 && keys.every((key) => NO_EFFECT.test(key))) {
      this.warnings.push(`${path} ('${name}') has no effect: this broker is a single node without replicas`);
    }
    return {
      path: `${path} ('${name}')`,
      work(target) {
        const home = vhostOf(target, vhost);
        home.putPolicy(operator, readPolicy(value, vhost, name, operator));
      },
    };
  }

  #readExchange(object: JsonObject): ImportStep {
    const vhost = this.#vhostOf(object);
    const args = {
      exchange: object.text("name"),
      type: object.text("type"),
      passive: false,
      durable: object.flag("durable", true),
      autoDelete: object.flag("auto_delete", false),
      internal: object.flag("internal", false),
      arguments: tableFromJson(object.object("arguments")),
    };
    return {
      path: object.path,
      provides: key("exchange", vhost, args.exchange),
      work: (target) => vhostOf(target, vhost).declareExchange(args),
    };
  }

  #readQueue(object: JsonObject): ImportStep[] {
    const vhost = this.#vhostOf(object);
    const args = {
      queue: object.text("name"),
      passive: false,
      durable: object.flag("durable", true),
      exclusive: false,
      autoDelete: object.flag("auto_delete", false),
      arguments: tableFromJson(object.object("arguments")),
    };
    if (args.queue.startsWith(SERVER_NAMED)) {
      this.#serverNamed.push(args.queue);
      return [];
    }
    if (args.queue === "") throw object.mistake("name", "must not be empty");
    return [{
      path: object.path,
      provides: key("queue", vhost, args.queue),
      work: (target) => void vhostOf(target, vhost).declareQueue(args, NO_OWNER),
    }];
  }

  #readBinding(object: JsonObject): ImportStep[] {
    const vhost = this.#vhostOf(object);
    const source = object.text("source");
    const destination = object.text("destination");
    const kind = object.text("destination_type", "queue");
    if (kind !== "queue" && kind !== "exchange") {
      throw object.mistake("destination_type", `must be 'queue' or 'exchange': received '${kind}'`);
    }
    const routingKey = object.text("routing_key", "");
    const args = tableFromJson(object.object("arguments"));
    if (kind === "queue" && destination.startsWith(SERVER_NAMED)) {
      this.#skippedBindings++;
      return [];
    }
    return [{
      path: object.path,
      needs: [key("exchange", vhost, source), key(kind, vhost, destination)],
      work(target) {
        const home = vhostOf(target, vhost);
        if (kind === "exchange") home.bindExchange({ source, destination, routingKey, arguments: args });
        else home.bindQueue({ exchange: source, queue: destination, routingKey, arguments: args }, NO_OWNER);
      },
    }];
  }

  #warnOfServerNamed(): void {
    const [first, ...others] = this.#serverNamed;
    if (first === undefined) return;
    const queues = others.length === 0
      ? `the queue '${first}' is`
      : `${others.length + 1} queues ('${first}', …) are`;
    const bindings = this.#skippedBindings === 0 ? "" : `, with ${this.#skippedBindings} bindings`;
    this.warnings.push(
      `${queues} skipped${bindings}: a server generated the name for a client that has gone`,
    );
  }
}

/** Whether the root is an export of one virtual host: its queues, exchanges and bindings do not name one. */
function isOfOneVhost(root: JsonObject): boolean {
  if (root.has("vhosts") || root.has("users") || root.has("permissions")) return false;
  const lists = ["queues", "exchanges", "bindings"].map((name) => root.value(name) ?? []);
  const objects = lists.flatMap((list) => Array.isArray(list) ? list : []);
  return objects.length > 0 && objects.every((object) => isObject(object) && !Object.hasOwn(object, "vhost"));
}

function readUser(object: JsonObject): ImportStep {
  const user = userFromJson(object, object.text("name"));
  const limits = object.object("limits");
  return {
    path: object.path,
    work: (target) =>
      target.users.putHashed(
        Object.keys(limits).length === 0 ? user : { ...user, limits: readLimits(limits, "user") },
      ),
  };
}

function readPermission(object: JsonObject): ImportStep {
  const user = object.text("user");
  const vhost = object.text("vhost");
  const permission = {
    configure: object.text("configure"),
    write: object.text("write"),
    read: object.text("read"),
  };
  return {
    path: object.path,
    work(target) {
      vhostOf(target, vhost);
      target.users.permit(user, vhost, permission);
    },
  };
}

function readTopicPermission(object: JsonObject): ImportStep {
  const user = object.text("user");
  const vhost = object.text("vhost");
  const exchange = object.text("exchange");
  const permission = { write: object.text("write"), read: object.text("read") };
  return {
    path: object.path,
    work(target) {
      vhostOf(target, vhost);
      target.users.permitTopics(user, vhost, exchange, permission);
    },
  };
}

function key(kind: "queue" | "exchange", vhost: string, name: string): string {
  return JSON.stringify([kind, vhost, name]);
}

function vhostOf(target: DefinitionsTarget, name: string): VirtualHost {
  const vhost = target.vhosts.get(name);
  if (vhost === undefined) throw new RangeError(`virtual host '${name}' does not exist`);
  return vhost;
}
