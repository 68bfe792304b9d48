/** A virtual host alone, which keeps its changes. */
import assert from "node:assert/strict";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import { type BasicProperties, encodeProperties } from "../../../../../lib/amqp/properties.ts";
import { PropertyScan } from "../../../../../lib/amqp/property_scan.ts";
import type { Queue } from "../../../../../lib/broker/core/queue/queue.ts";
import type { DefinitionChange } from "../../../../../lib/broker/core/topology/definition_change.ts";
import { RouteResult, VirtualHost } from "../../../../../lib/broker/core/topology/vhost.ts";
import { makeQueue } from "../../../../support/queues.ts";

export const ME = {};
export const OTHER = {};

export class Host {
  readonly changes: DefinitionChange[] = [];
  #ids = 0;
  readonly vhost = new VirtualHost("/", {
    createQueue: makeQueue,
    nextQueueId: () => ++this.#ids,
    onChange: (change) => this.changes.push(change),
  });

  queue(
    queue: string,
    more: Partial<Parameters<VirtualHost["declareQueue"]>[0]> = {},
    owner = ME,
  ): Queue {
    const args = { passive: false, durable: false, exclusive: false, autoDelete: false, arguments: {} };
    return this.vhost.declareQueue({ ...args, queue, ...more }, owner);
  }

  exchange(
    exchange: string,
    type: string,
    more: Partial<Parameters<VirtualHost["declareExchange"]>[0]> = {},
  ): void {
    const args = { passive: false, durable: false, internal: false, autoDelete: false, arguments: {} };
    this.vhost.declareExchange({ ...args, exchange, type, ...more });
  }

  bind(exchange: string, queue: string, routingKey = "", args = {}): void {
    this.vhost.bindQueue({ exchange, queue, routingKey, arguments: args }, ME);
  }

  unbind(exchange: string, queue: string, routingKey = "", args = {}): void {
    this.vhost.unbindQueue({ exchange, queue, routingKey, arguments: args }, ME);
  }

  link(source: string, destination: string, routingKey = ""): void {
    this.vhost.bindExchange({ source, destination, routingKey, arguments: {} });
  }

  route(exchange: string, routingKey: string, properties: BasicProperties = {}): string[] {
    const bytes = encodeProperties(properties);
    const scan = new PropertyScan();
    scan.read(bytes, 0, bytes.length);
    const routes = new RouteResult();
    this.vhost.route(this.vhost.exchanges.get(exchange)!, routingKey, scan, routes);
    return routes.toArray().map((queue) => queue.definition.name).sort();
  }
}

export function refuses(code: number, text: string, work: () => void): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof AmqpError, String(error));
    assert.deepEqual([error.replyCode, error.replyText], [code, text]);
    return true;
  });
}
