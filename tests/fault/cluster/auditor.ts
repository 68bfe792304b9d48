/**
 * Prepares queues for the suite of faults and counts afterwards what is in them, with plain calls of AMQP: it uses neither the
 * publisher nor the consumer that the suite tests.
 */
import { Buffer } from "node:buffer";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { waitFor } from "../../support/helpers.ts";
import type { NodeName, RabbitMqCluster } from "../../support/rabbitmq_cluster.ts";

/** The types of queues in the suite. A mirrored queue is a classic one whose name has a policy. */
export type QueueType = "classic" | "mirrored" | "quorum" | "stream";
/** What a command of the suite uses: a queue, or an exchange. */
export type Kind = QueueType | "exchange";

/** The time limit for an answer of a healthy cluster on a loaded machine, in milliseconds. */
const ANSWER_MS = 60_000;
/** The number of `basic.get` in flight. */
const WINDOW = 200;
/** The time without a message after which a stream is regarded as read, in milliseconds. */
const QUIET_MS = 500;

export class Auditor {
  readonly #cluster: RabbitMqCluster;
  #connection: Promise<AmqpConnection> | undefined;

  constructor(cluster: RabbitMqCluster) {
    this.#cluster = cluster;
  }

  /** Mirrors all queues whose names begin with `mirrored`. */
  async mirror(): Promise<void> {
    const definition = { "ha-mode": "all", "ha-sync-mode": "automatic" };
    const policy = { pattern: "^mirrored", definition, "apply-to": "queues" };
    const { ok } = await this.#cluster.request("a", "PUT", "policies/%2F/mirrored", policy);
    if (!ok) throw new Error("The policy of mirrored queues was refused");
  }

  /** Declares queues whose node or leader is the given one. */
  async declare(queues: readonly string[], type: QueueType, node: NodeName): Promise<void> {
    const connection = await connectBroker(parseAmqpUrl(this.#cluster.url(node)));
    const channel = await connection.open();
    const args: FieldTable = { "x-queue-type": type === "mirrored" ? "classic" : type };
    const declared = queues.map((queue) =>
      channel.call("queue.declare", { queue, durable: true, arguments: args }, "queue.declare-ok")
    );
    await Promise.all(declared);
    await connection.close();
  }

  /** Puts lines into a queue. */
  async fill(queue: string, lines: readonly string[], headers: FieldTable = {}): Promise<void> {
    await this.#send("", queue, lines, headers);
  }

  /** The number of messages that are ready. */
  async count(queue: string): Promise<number> {
    const channel = await (await this.#connected()).open();
    const { messageCount } = await channel.call(
      "queue.declare",
      { queue, passive: true },
      "queue.declare-ok",
    );
    await channel.close();
    return messageCount;
  }

  /** Takes all messages out of a queue. Asks again while the queue does not answer. */
  async take(queue: string): Promise<string[]> {
    const taken: string[] = [];
    await waitFor(() => this.#takeSome(queue, taken), ANSWER_MS, `'${queue}' to be readable`);
    return taken;
  }

  /** Reads the messages of a stream until it has been quiet for some time. */
  async read(stream: string): Promise<string[]> {
    const read: string[] = [];
    const connection = await this.#connected();
    let at = performance.now();
    const channel = await connection.open({
      onDelivery({ deliveryTag, content: { body, bodyStart, bodyEnd } }) {
        read.push(Buffer.from(body.subarray(bodyStart, bodyEnd)).toString());
        channel.ack(deliveryTag, false);
        at = performance.now();
      },
      onBatchEnd: () => connection.flush(),
    });
    await channel.call("basic.qos", { prefetchCount: WINDOW }, "basic.qos-ok");
    const args = { "x-stream-offset": "first" };
    await channel.call("basic.consume", { queue: stream, arguments: args }, "basic.consume-ok");
    await waitFor(() => performance.now() - at > QUIET_MS, ANSWER_MS, `the end of '${stream}'`);
    await channel.close();
    return read;
  }

  /** Publishes lines to an exchange, as soon as a queue is bound to it with the routing key. */
  async publish(exchange: string, routingKey: string, lines: readonly string[]): Promise<void> {
    await waitFor(() => this.#isBound(exchange, routingKey), ANSWER_MS, `a subscriber of '${routingKey}'`);
    await this.#send(exchange, routingKey, lines, {});
  }

  /** Whether all queues have an answer: of their leaders, if they have any. */
  async areBack(queues: readonly string[]): Promise<boolean> {
    try {
      for (const queue of queues) await this.count(queue);
      return true;
    } catch {
      return false;
    }
  }

  /** Whether a queue exists. */
  async exists(queue: string): Promise<boolean> {
    return (await this.#cluster.request("a", "GET", `queues/%2F/${encodeURIComponent(queue)}`)).ok;
  }

  /** Deletes queues. */
  async delete(queues: readonly string[]): Promise<void> {
    const channel = await (await this.#connected()).open();
    await Promise.all(queues.map((queue) => channel.call("queue.delete", { queue }, "queue.delete-ok")));
    await channel.close();
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    await this.#connection?.then((connection) => connection.close()).catch(() => {});
  }

  async #isBound(exchange: string, routingKey: string): Promise<boolean> {
    const response = await this.#cluster.request("a", "GET", `exchanges/%2F/${exchange}/bindings/source`);
    const bindings: { routing_key: string }[] = await response.json();
    return bindings.some((binding) => binding.routing_key === routingKey);
  }

  /** Publishes lines, and waits for the confirms. */
  async #send(
    exchange: string,
    routingKey: string,
    lines: readonly string[],
    headers: FieldTable,
  ): Promise<void> {
    const connection = await this.#connected();
    const unconfirmed = new Set(lines.keys());
    let refused = false;
    const channel = await connection.open({
      onConfirm(tag, multiple, taken) {
        refused ||= !taken;
        unconfirmed.delete(tag - 1);
        for (let i = 0; multiple && i < tag; i++) unconfirmed.delete(i);
      },
    });
    await channel.call("confirm.select", {}, "confirm.select-ok");
    const properties = encodeProperties({ deliveryMode: 2, headers });
    for (const line of lines) {
      const body = Buffer.from(line);
      connection.encoder.publish(channel.id, exchange, routingKey, false, properties, body, 0, body.length);
    }
    connection.flush();
    const isOver = () => unconfirmed.size === 0 || refused || channel.over;
    await waitFor(isOver, ANSWER_MS, `the confirms of '${routingKey}'`);
    if (unconfirmed.size > 0 || refused) throw new Error(`'${routingKey}' refused messages`);
    await channel.close();
  }

  /** @returns whether the queue is empty */
  async #takeSome(queue: string, taken: string[]): Promise<boolean> {
    try {
      const channel = await (await this.#connected()).open();
      for (;;) {
        const got = await Promise.all(Array.from({ length: WINDOW }, () => channel.get(queue, true)));
        for (const message of got) {
          if (message !== undefined) taken.push(Buffer.from(message.body).toString());
        }
        if (got.includes(undefined)) break;
      }
      await channel.close();
      return true;
    } catch {
      return false;
    }
  }

  /** The connection, or a new one: one at a time. */
  #connected(): Promise<AmqpConnection> {
    const connect = () => connectBroker(parseAmqpUrl(this.#cluster.urls()));
    const last = this.#connection ?? connect();
    return this.#connection = last.then((connection) => connection.over ? connect() : connection, connect);
  }
}
