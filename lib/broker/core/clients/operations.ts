/** Operations of clients with their checks of permissions, which are the same in every protocol. */
import { amqpError } from "../../../amqp/amqp_error.ts";
import type { MethodArgs } from "../../../amqp/method_args.ts";
import { resource } from "../arguments.ts";
import type { QueueDeclaration } from "../topology/declaration_checks.ts";
import type { Queue } from "../queue/queue.ts";
import type { VirtualHost } from "../topology/vhost.ts";
import type { Access } from "../users/permissions.ts";
import { randomName } from "./names.ts";

/** A connection that declares and uses queues. */
export interface QueueClient {
  readonly vhost: VirtualHost;
  readonly access: Access;
  /** Queues that only this connection may use; they are deleted with it. */
  readonly exclusiveQueues: Set<Queue>;
}

/**
 * Declares a queue that need not exist, with the permissions that RabbitMQ asks for. An empty name is replaced by a
 * random one.
 *
 * @throws {AmqpError} see `VirtualHost.declareQueue`; 403: a permission is missing
 */
export function declareQueue(client: QueueClient, declared: QueueDeclaration): Queue {
  const { vhost, access } = client;
  const name = declared.queue === "" ? `amq.gen-${randomName()}` : declared.queue;
  access.check("configure", "queue", name);
  const exchange = declared.arguments["x-dead-letter-exchange"];
  if (typeof exchange === "string" && !vhost.queues.has(name)) {
    access.check("read", "queue", name);
    access.check("write", "exchange", exchange);
  }
  const queue = vhost.declareQueue(declared, client, name);
  if (queue.definition.exclusive) client.exclusiveQueues.add(queue);
  return queue;
}

/**
 * Binds a queue.
 *
 * @throws {AmqpError} see `VirtualHost.bindQueue`; 403: a permission is missing
 */
export function bindQueue(client: QueueClient, binding: Omit<MethodArgs<"queue.bind">, "noWait">): void {
  checkBinding(client, binding);
  client.vhost.bindQueue(binding, client);
}

/** Checks the permissions to bind or unbind a queue. @throws {AmqpError} 403: a permission is missing */
export function checkBinding(
  { vhost, access }: QueueClient,
  { queue, exchange, routingKey }: Pick<MethodArgs<"queue.bind">, "queue" | "exchange" | "routingKey">,
): void {
  access.check("write", "queue", queue);
  access.check("read", "exchange", exchange);
  access.checkTopic("read", vhost.exchanges, exchange, routingKey);
}

/**
 * Checks whether another consumer can be added to a queue.
 *
 * @param exclusive whether it is the only one that the client accepts
 * @throws {AmqpError} 403: the queue has an exclusive consumer, or the new one cannot be exclusive
 */
export function checkNewConsumer(queue: Queue, exclusive: boolean): void {
  if (
    queue.consumers.exclusive ||
    exclusive && (queue.consumers.size > 0 || queue.settings.singleActiveConsumer)
  ) {
    const { name, vhost } = queue.definition;
    throw amqpError(403, `${resource("queue", name, vhost)} in exclusive use`);
  }
}
